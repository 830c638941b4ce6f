import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { zeroHash } from '../../src/witness/entry.ts';
import { compareDatabases } from '../../src/witness/verify/against.ts';
import { tempDir } from '../support/temp.ts';
import { actorMessages, actors, epochMessage, never } from './messages.ts';

let folder: Awaited<ReturnType<typeof tempDir>>;
let copies = 0;
beforeAll(async () => {
  folder = await tempDir();
});
afterAll(() => folder.remove());

/** A witness that took the messages in batches of its own. */
function witness(last: number, batch: number, epochs = 1): string {
  const path = join(folder.path, `witness-${++copies}.db`);
  const database = WitnessDatabase.open(path);
  database.appendBatch(actors, [epochMessage(1, zeroHash)], never);
  for (let first = 2; first <= last; first += batch)
    database.appendBatch(actors, actorMessages(first, Math.min(last, first + batch - 1)), never);
  if (epochs > 1)
    database.appendBatch(
      'IF_actors/2',
      [epochMessage(2, database.head(actors)?.head_hash ?? ''), ...actorMessages(2, 5)],
      never,
    );
  database.close();
  return path;
}

function changed(path: string, sql: string): string {
  const copy = join(folder.path, `copy-${++copies}.db`);
  copyFileSync(path, copy);
  const sqlite = new Sqlite(copy);
  sqlite.exec(sql);
  sqlite.close();
  return copy;
}

const places = (a: string, b: string) => compareDatabases(a, b).map(({ chain, seq }) => `${chain} ${seq}`);

describe('two witness databases', () => {
  it('of one stream hold the same chains, whatever their batches', () => {
    expect(places(witness(100, 7), witness(100, 31))).toEqual([]);
  });

  it('agree when one has got further, also by an epoch', () => {
    const [longer, shorter, newer] = [witness(100, 50), witness(60, 50), witness(100, 10, 2)];
    for (const [a, b] of [
      [longer, shorter],
      [shorter, longer],
      [longer, newer],
      [newer, longer],
    ] as const)
      expect(places(a, b)).toEqual([]);
  });

  it('agree when one has less of the beginning', () => {
    const path = witness(50, 50);
    const late = changed(path, 'DELETE FROM entries WHERE seq < 20');
    expect(places(path, late)).toEqual([]);
    expect(places(late, path)).toEqual([]);
  });

  it('differ at the first entry that is not the same, and where one has none', () => {
    const path = witness(50, 50);
    expect(
      places(path, changed(path, `UPDATE entries SET content_hash = '${zeroHash}' WHERE seq IN (20, 30)`)),
    ).toEqual([`${actors} 20`]);
    const hole = changed(path, 'DELETE FROM entries WHERE seq = 33');
    expect(places(path, hole)).toEqual([`${actors} 33`]);
    expect(places(hole, path)).toEqual([`${actors} 33`]);
  });

  it('differ when they are of two fabrics', () => {
    const path = witness(50, 50);
    const other = changed(path, "UPDATE entries SET chain = 'OTHER_actors/1'");
    expect(places(path, other)).toEqual([`${actors} 0`, 'OTHER_actors/1 0']);
  });
});
