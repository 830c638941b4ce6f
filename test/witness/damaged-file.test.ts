import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { pageSize } from '../../src/witness/schema.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { tempDir } from '../support/temp.ts';
import { actorMessages, actors, never } from './messages.ts';

const rows = 600;
let folder: Awaited<ReturnType<typeof tempDir>>;
let clean: string;
let copies = 0;

beforeAll(async () => {
  folder = await tempDir();
  clean = join(folder.path, 'clean.db');
  const witness = WitnessDatabase.open(clean);
  witness.appendBatch(actors, actorMessages(1, rows), never);
  witness.close();
});
afterAll(() => folder.remove());

function damaged(damage: (copy: string) => void): ReturnType<typeof verifyDatabase> {
  const copy = join(folder.path, `copy-${++copies}.db`);
  copyFileSync(clean, copy);
  damage(copy);
  return verifyDatabase(copy);
}

/** Every file of a folder with its content and times. */
function traceOf(path: string): string[] {
  return readdirSync(path).map((name) => {
    const file = join(path, name);
    return `${name} ${statSync(file).mtimeMs} ${createHash('sha256').update(readFileSync(file)).digest('hex')}`;
  });
}

describe('a damaged file', () => {
  it.each(['', 'not a database', 'SQLite format 3\0', 'x'.repeat(10_000)])(
    'that holds %j is unreadable, not a crash',
    (text) => {
      const result = damaged((copy) => writeFileSync(copy, text));
      expect(result).toMatchObject({ ok: false, chains: [{ chain: '*', errors: [{ seq: 0, code: 'UNREADABLE' }] }] });
    },
  );

  it('that does not exist, or is a folder, is unreadable and is not made', () => {
    expect(verifyDatabase(join(folder.path, 'absent.db'))).toMatchObject({
      ok: false,
      chains: [{ errors: [{ code: 'UNREADABLE' }] }],
    });
    expect(verifyDatabase(folder.path)).toMatchObject({ ok: false, chains: [{ errors: [{ code: 'UNREADABLE' }] }] });
    expect(readdirSync(folder.path)).not.toContain('absent.db');
  });

  it('of another program is unreadable', () => {
    const result = damaged((copy) => {
      writeFileSync(copy, '');
      const sqlite = new Sqlite(copy);
      sqlite.exec('CREATE TABLE mine (a); CREATE VIEW entries AS SELECT * FROM mine');
      sqlite.close();
    });
    expect(result).toMatchObject({ ok: false, chains: [{ errors: [{ code: 'UNREADABLE' }] }] });
  });

  it('is found out wherever a page is zeroed, and the readable entries are still checked', () => {
    const pages = statSync(clean).size / pageSize;
    for (let page = 0; page < pages; page++) {
      const result = damaged((copy) => {
        const bytes = readFileSync(copy);
        bytes.fill(0, page * pageSize, (page + 1) * pageSize);
        writeFileSync(copy, bytes);
      });
      expect(result.ok, `page ${page + 1}`).toBe(false);
      const codes = result.chains.flatMap((chain) => chain.errors.map((error) => error.code));
      expect(codes, `page ${page + 1}`).toContain('UNREADABLE');
    }
  });

  it('goes on behind the damage', () => {
    const pages = statSync(clean).size / pageSize;
    let best = 0;
    for (let page = 1; page < pages; page++) {
      const result = damaged((copy) => {
        const bytes = readFileSync(copy);
        bytes.fill(0, page * pageSize, (page + 1) * pageSize);
        writeFileSync(copy, bytes);
      });
      const chain = result.chains.find((each) => each.chain === actors);
      if (chain?.last_seq === rows && chain.entries < rows) best = Math.max(best, chain.entries);
    }
    expect(best).toBeGreaterThan(rows / 2);
  });

  it('that was cut off anywhere is found out', () => {
    const { size } = statSync(clean);
    for (let part = 1; part < 16; part++) {
      const result = damaged((copy) => truncateSync(copy, Math.floor((size * part) / 16)));
      expect(result.ok, `${part}/16`).toBe(false);
    }
  });

  it('with one letter changed wherever a value lies, in the entries or in an index that leads to them, is found out', () => {
    const bytes = readFileSync(clean);
    const places: number[] = [];
    for (let at = bytes.indexOf('t-149'); at >= 0; at = bytes.indexOf('t-149', at + 1)) places.push(at);
    // Of four entries: the column, the payload, and the index of actors.
    expect(places).toHaveLength(12);
    const codes = places.map((at) => {
      const result = damaged((copy) => {
        const changed = Buffer.from(bytes);
        changed.write('X', at, 'latin1');
        writeFileSync(copy, changed);
      });
      return result.chains.flatMap(({ errors }) => errors.map(({ code }) => code)).join();
    });
    expect(codes.filter((code) => code.startsWith('HASH_MISMATCH'))).toHaveLength(8);
    expect(codes.filter((code) => code === 'UNREADABLE')).toHaveLength(4);
  });

  it('with any bytes changed never crashes the verification, and one that is fine holds the same entries', () => {
    const bytes = readFileSync(clean);
    const expected = verifyDatabase(clean).chains[0];
    const place = fc.nat({ max: bytes.length - 1 });
    const changes = fc.array(fc.record({ at: place, value: fc.nat({ max: 255 }) }), { minLength: 1, maxLength: 200 });
    const headers = fc.array(fc.record({ at: fc.nat({ max: 120 }), value: fc.nat({ max: 255 }) }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(fc.oneof({ weight: 3, arbitrary: changes }, headers), (some) => {
        const copy = join(folder.path, 'flipped.db');
        const changed = Buffer.from(bytes);
        for (const { at, value } of some) changed[at] = value;
        writeFileSync(copy, changed);
        const result = verifyDatabase(copy);
        // A change of bytes that no row and no index uses may pass.
        if (result.ok && result.chains.length > 0) expect(result.chains[0]).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });
});

describe('verification leaves no trace', () => {
  const temporary = () => readdirSync(tmpdir()).filter((name) => name.startsWith('witness-'));

  it('beside a file that was closed', () => {
    const before = traceOf(folder.path);
    expect(verifyDatabase(clean).ok).toBe(true);
    expect(traceOf(folder.path)).toEqual(before);
  });

  it('beside a file that is being written to, of which it sees everything stored', () => {
    const place = join(folder.path, 'live');
    mkdirSync(place);
    const witness = WitnessDatabase.open(join(place, 'witness.db'));
    witness.appendBatch(actors, actorMessages(1, 50), never);
    const before = readdirSync(place);
    expect(before).toEqual(['witness.db', 'witness.db-shm', 'witness.db-wal']);
    expect(verifyDatabase(join(place, 'witness.db'))).toMatchObject({ ok: true, chains: [{ entries: 50 }] });
    expect(readdirSync(place)).toEqual(before);
    witness.appendBatch(actors, actorMessages(51, 60), never);
    expect(verifyDatabase(join(place, 'witness.db'))).toMatchObject({ ok: true, chains: [{ entries: 60 }] });
    witness.close();
    expect(readdirSync(place)).toEqual(['witness.db']);
  });

  it.each([['witness.db', 'witness.db-wal'], ['witness.db', 'witness.db-wal', 'witness.db-shm'], ['witness.db']])(
    'beside what a crash left behind: %s %s %s',
    (...names) => {
      const live = join(folder.path, `crash-${++copies}`);
      const left = join(folder.path, `crash-${++copies}`);
      mkdirSync(live);
      mkdirSync(left);
      const witness = WitnessDatabase.open(join(live, 'witness.db'));
      witness.appendBatch(actors, actorMessages(1, 50), never);
      if (names.length === 1) witness.sqlite.pragma('wal_checkpoint(TRUNCATE)');
      for (const name of names) copyFileSync(join(live, name), join(left, name));
      witness.close();
      const before = readdirSync(left);
      const copiesBefore = temporary();
      expect(verifyDatabase(join(left, 'witness.db'))).toMatchObject({ ok: true, chains: [{ entries: 50 }] });
      expect(readdirSync(left)).toEqual(before);
      expect(temporary()).toEqual(copiesBefore);
    },
  );

  it('also where nothing may be written', () => {
    const place = join(folder.path, 'read-only');
    mkdirSync(place);
    copyFileSync(clean, join(place, 'witness.db'));
    chmodSync(join(place, 'witness.db'), 0o444);
    chmodSync(place, 0o555);
    expect(verifyDatabase(join(place, 'witness.db')).ok).toBe(true);
    expect(readdirSync(place)).toEqual(['witness.db']);
    chmodSync(place, 0o755);
  });

  it('a path with odd characters is only a path', () => {
    const odd = join(folder.path, 'a b?mode=memory#%41.db');
    copyFileSync(clean, odd);
    expect(verifyDatabase(odd).ok).toBe(true);
  });
});
