/**
 * Checks the rows of a file on several threads and on one, and prints both answers, each null when not every row is right.
 * Argument: path.
 */
import Sqlite from 'better-sqlite3';
import { PageFile } from '../../src/witness/verify/pages.ts';
import type { RangeResult } from '../../src/witness/verify/range.ts';
import { leafParents } from '../../src/witness/verify/table.ts';
import { startRanges } from '../../src/witness/verify/threads.ts';

const [path = ''] = process.argv.slice(2);
const sqlite = new Sqlite(path, { readonly: true });
const root = sqlite.prepare<[], number>("SELECT rootpage FROM sqlite_schema WHERE name = 'entries'").pluck().get() ?? 0;
sqlite.close();
const file = new PageFile(path, undefined);
const parents = leafParents(file, root);
file.close();

function answer(parentsPerThread: number): RangeResult[] | null {
  try {
    return startRanges(path, undefined, parents, parentsPerThread).results();
  } catch {
    return null;
  }
}

process.stdout.write(JSON.stringify({ threads: answer(1), one: answer(parents.length) }));
