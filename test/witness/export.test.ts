import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { queryEntries } from '../../src/witness/query/query.ts';
import { type ExportFormat, type ExportTally, exportText } from '../../src/witness/report/export.ts';
import { writeNewFile } from '../../src/witness/report/export-file.ts';
import type { Selection } from '../../src/witness/report/selection.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { actorMessages, actors, journalMessage, never } from './messages.ts';

let dir: TempDir;
let witness: WitnessDatabase;
beforeEach(async () => {
  dir = await tempDir();
  witness = WitnessDatabase.open(join(dir.path, 'witness.db'));
});
afterEach(async () => {
  witness.close();
  await dir.remove();
});

function text(
  format: ExportFormat,
  selection: Selection = {},
  tally: ExportTally = { entries: 0, damaged: 0 },
): string {
  return [...exportText(witness.sqlite, format, selection, tally)].join('');
}

/** Fields of CSV as RFC 4180 defines them, told apart from those that are not quoted; written from the RFC. */
function parseCsv(csv: string): { value: string; quoted: boolean }[][] {
  const rows: { value: string; quoted: boolean }[][] = [[]];
  const field = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/gy;
  for (let match = field.exec(csv); match; match = field.exec(csv)) {
    const [, quoted, bare = '', end] = match;
    rows.at(-1)!.push({ value: quoted?.replaceAll('""', '"') ?? bare, quoted: quoted !== undefined });
    if (end === '\r\n') rows.push([]);
    if (field.lastIndex === csv.length) break;
  }
  expect(rows.pop(), 'the text ends with a line break and is CSV as a whole').toEqual([]);
  return rows;
}

function hostile(event: string, more: { [key: string]: string } = {}): void {
  witness.appendBatch('IF_journal/1', [journalMessage(1, { event, component: 'mine', by: 'alpha', ...more })], never);
}

describe('an export as JSON lines', () => {
  it('holds every entry as a query answers it, one per line, in order of time', () => {
    witness.appendBatch(actors, actorMessages(1, 700), never);
    hostile('note', { payload: 'line\nbreak \u2028 "quoted" \u0000' });
    const tally = { entries: 0, damaged: 0 };
    const lines = text('json', {}, tally).split('\n');
    expect(lines.pop()).toBe('');
    const entries = queryEntries(witness.sqlite, { limit: 1_000 }).entries;
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(entries);
    expect(Object.keys(JSON.parse(lines[0] ?? '') as object)).toEqual(Object.keys(entries[0] ?? {}));
    expect(tally).toEqual({ entries: 701, damaged: 0 });
  });

  it('takes the filters of a query', () => {
    witness.appendBatch(actors, actorMessages(1, 40), never);
    const selection = { event: 'CLAIM', swarm_id: 'swarm-1' };
    const lines = text('json', selection).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(queryEntries(witness.sqlite, selection).entries);
    expect(lines.length).toBeGreaterThan(1);
  });

  it('shows a payload that is not JSON as text, and counts it', () => {
    witness.appendBatch(actors, actorMessages(1, 2), never);
    witness.sqlite.prepare('UPDATE entries SET payload = ? WHERE seq = 1').run('{"broken":\n');
    const tally = { entries: 0, damaged: 0 };
    const [first = ''] = text('json', {}, tally).split('\n');
    expect(JSON.parse(first)).toMatchObject({ seq: 1, payload: '{"broken":\n' });
    expect(tally).toEqual({ entries: 2, damaged: 1 });
  });

  it('keeps a line a line, also where a payload was altered', () => {
    witness.appendBatch(actors, actorMessages(1, 1), never);
    witness.sqlite.prepare('UPDATE entries SET payload = ?').run('{"a":\r\n1}');
    expect(text('json').split('\n')).toHaveLength(2);
  });
});

describe('an export as CSV', () => {
  it('has a line of names and holds every field as it is stored', () => {
    witness.appendBatch(actors, actorMessages(1, 600), never);
    const [names = [], ...rows] = parseCsv(text('csv'));
    const stored = witness.sqlite.prepare('SELECT * FROM entries ORDER BY seq').raw().all() as unknown[][];
    expect(names.map(({ value }) => value)).toEqual(
      (witness.sqlite.pragma('table_info(entries)') as { name: string }[]).map(({ name }) => name),
    );
    expect(rows.map((row) => row.map(({ value }) => value))).toEqual(
      stored.map((row) => row.map((value) => String(value ?? ''))),
    );
  });

  it.each(['a\nb', 'a\rb', 'a,b', 'a"b', ' a ', 'ünïcödé 🐝'])('gives back %j unchanged', (event) => {
    hostile(event);
    expect(parseCsv(text('csv'))[1]?.[4]?.value).toBe(event);
  });

  it('tells an empty text from nothing', () => {
    hostile('', {});
    const [, row = []] = parseCsv(text('csv'));
    expect(row[4]).toEqual({ value: '', quoted: true });
    expect(row[8]).toEqual({ value: '', quoted: false });
  });

  it.each(['=HYPERLINK("http://evil.example","click")', '+1+1', '-2+3', '@SUM(A1)', '\t=1+1', '\r=1+1', '\uff1d1+1'])(
    'is no formula where an agent wrote %j',
    (formula) => {
      hostile(formula);
      const [, row = []] = parseCsv(text('csv'));
      expect(row[4]?.value).toBe(`'${formula}`);
    },
  );

  it('leaves numbers numbers', () => {
    hostile('note');
    witness.sqlite.exec('UPDATE entries SET cost_usd = -0.5');
    expect(parseCsv(text('csv'))[1]?.[13]).toEqual({ value: '-0.5', quoted: false });
  });
});

describe('a file that is written once', () => {
  const place = () => join(dir.path, 'out.json');
  const left = async () => (await readdir(dir.path)).filter((name) => !name.startsWith('witness.db'));

  it('is there whole, for its owner only', async () => {
    await writeNewFile(place(), ['a', 'b']);
    expect(await readFile(place(), 'utf8')).toBe('ab');
    expect((await stat(place())).mode & 0o777).toBe(0o600);
    expect(await left()).toEqual(['out.json']);
  });

  it('takes no place that is taken, before or meanwhile', async () => {
    await writeFile(place(), 'mine');
    await expect(writeNewFile(place(), ['a'])).rejects.toMatchObject({ code: 'CONFLICT' });
    const other = join(dir.path, 'other.json');
    const { writeFileSync } = await import('node:fs');
    const chunks = function* () {
      yield 'a';
      writeFileSync(other, 'theirs');
    };
    await expect(writeNewFile(other, chunks())).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(await readFile(place(), 'utf8')).toBe('mine');
    expect(await readFile(other, 'utf8')).toBe('theirs');
    expect((await left()).sort()).toEqual(['other.json', 'out.json']);
  });

  it('is not there at all when its source fails or it is interrupted', async () => {
    const failing = function* () {
      yield 'a';
      throw new Error('damaged');
    };
    await expect(writeNewFile(place(), failing())).rejects.toThrow('damaged');
    await expect(writeNewFile(place(), ['a'], AbortSignal.abort(new Error('stop')))).rejects.toThrow('stop');
    expect(await left()).toEqual([]);
  });

  it('says so when its folder does not exist', async () => {
    const path = join(dir.path, 'no', 'out.json');
    await expect(writeNewFile(path, ['a'])).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });
});
