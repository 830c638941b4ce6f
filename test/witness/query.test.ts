import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { planQuery, type QueryFilter, queryEntries } from '../../src/witness/query.ts';
import { openReadOnly } from '../../src/witness/read-only.ts';
import { tempDir } from '../support/temp.ts';
import { actorMessage, actors, journalMessage, never, startedAt, taskRecord } from './messages.ts';

const rows = 400;
let folder: Awaited<ReturnType<typeof tempDir>>;
let witness: WitnessDatabase;

beforeAll(async () => {
  folder = await tempDir();
  witness = WitnessDatabase.open(join(folder.path, 'witness.db'));
  // Ten messages share each millisecond, and two chains share the times.
  const records = Array.from({ length: rows }, (_, at) =>
    actorMessage(at + 1, taskRecord(at + 1), startedAt + Math.floor(at / 10)),
  );
  witness.appendBatch(actors, records, never);
  const notes = Array.from({ length: rows }, (_, at) => ({
    ...journalMessage(at + 1, {
      event: at % 100 === 0 ? 'rare' : 'note',
      component: 'mine',
      by: 'alpha',
      trace_id: `trace-${at % 7}`,
      payload: { at },
    }),
    time_ms: startedAt + Math.floor(at / 10),
  }));
  witness.appendBatch('IF_journal/1', notes, never);
});
afterAll(async () => {
  witness.close();
  await folder.remove();
});

function all(filter: QueryFilter): string[] {
  const found: string[] = [];
  let cursor: string | null = null;
  do {
    const page = witness.query(cursor === null ? filter : { ...filter, cursor });
    found.push(
      ...page.entries.map((entry) => `${entry.timestamp} ${entry.chain} ${String(entry.seq).padStart(4, '0')}`),
    );
    cursor = page.cursor;
  } while (cursor !== null);
  return found;
}

describe('a query', () => {
  it('answers whole entries with the payload as a value', () => {
    const [entry] = witness.query({ id: 't-0', event: 'COMPLETE' }).entries;
    expect(entry).toMatchObject({
      chain: actors,
      seq: 4,
      kind: 'task',
      n: 4,
      cost_usd: 0.25,
      model: 'm-1',
      payload: taskRecord(4),
    });
    expect(Object.keys(entry ?? {})).toHaveLength(17);
    expect(entry?.content_hash).toMatch(/^[0-9a-f]{64}$/);
  });

  it.each(['asc', 'desc'] as const)(
    'pages through everything once in order of time, chain and number (%s)',
    (order) => {
      const found = all({ order, limit: 37 });
      expect(found).toHaveLength(2 * rows);
      expect(new Set(found).size).toBe(2 * rows);
      const sorted = [...found].sort();
      expect(found).toEqual(order === 'asc' ? sorted : sorted.reverse());
    },
  );

  const filters: ReadonlyArray<readonly [QueryFilter, (at: number, journal: boolean) => boolean]> = [
    [{ swarm_id: 'swarm-1' }, (at, journal) => !journal && (at + 1) % 3 === 1],
    [{ swarm_id: 'alpha', event: 'rare' }, (at, journal) => journal && at % 100 === 0],
    [{ event: 'CLAIM' }, (at, journal) => !journal && at % 4 === 1],
    [{ component: 'mine' }, (_, journal) => journal],
    [{ kind: 'task', trace_id: 'trace-3' }, (at, journal) => !journal && (at + 1) % 7 === 3],
    [{ trace_id: 'trace-3' }, (at, journal) => (journal ? at % 7 === 3 : (at + 1) % 7 === 3)],
    [{ kind: 'task', id: 't-5' }, (at, journal) => !journal && Math.floor(at / 4) === 5],
    [{ since: startedAt + 3, until: startedAt + 5 }, (at) => at >= 30 && at < 60],
    [{ since: startedAt + 39, kind: 'journal' }, (at, journal) => journal && at >= 390],
    [{ kind: 'nothing' }, () => false],
  ];
  it.each(filters)('finds what matches %j, page by page, in both orders', (filter, matches) => {
    const expected: string[] = [];
    for (const journal of [false, true]) {
      for (let at = 0; at < rows; at++) {
        if (!matches(at, journal)) continue;
        const chain = journal ? 'IF_journal/1' : actors;
        expected.push(`${startedAt + Math.floor(at / 10)} ${chain} ${String(at + 1).padStart(4, '0')}`);
      }
    }
    expected.sort();
    expect(all({ ...filter, limit: 7 })).toEqual(expected);
    expect(all({ ...filter, limit: 1_000, order: 'desc' })).toEqual(expected.reverse());
  });

  it('answers 100 entries unless told otherwise', () => {
    expect(witness.query({}).entries).toHaveLength(100);
    expect(witness.query({ limit: 1_000 })).toMatchObject({ cursor: null });
  });

  const bad: ReadonlyArray<readonly [string, QueryFilter]> = [
    ['limit', { limit: 0 }],
    ['limit', { limit: 1_001 }],
    ['limit', { limit: 1.5 }],
    ['order', { order: 'up' as 'asc' }],
    ['time', { since: Number.NaN }],
    ['cursor', { cursor: 'x' }],
    ['cursor', { cursor: '' }],
    ['cursor', { cursor: Buffer.from('["asc",1,2,3]').toString('base64url') }],
  ];
  it.each(bad)('refuses a bad %s: %j', (what, filter) => {
    expect(() => witness.query(filter)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
    expect(() => witness.query(filter)).toThrow(what);
  });

  it('refuses the cursor of a query in the other order', () => {
    const { cursor } = witness.query({ limit: 1 });
    expect(() => witness.query({ limit: 1, order: 'desc', cursor: cursor ?? '' })).toThrow(/other|order/);
  });

  it('can be asked of a file without opening it for writing', () => {
    const database = openReadOnly(join(folder.path, 'witness.db'));
    expect(queryEntries(database.sqlite, { id: 't-5' }).entries).toHaveLength(4);
    database.close();
  });
});

describe('the plan of a query', () => {
  const cases: ReadonlyArray<readonly [string, QueryFilter]> = [
    ['entries_by_time', {}],
    ['entries_by_time', { since: 1, until: 2 }],
    ['entries_by_swarm', { swarm_id: 'swarm-1' }],
    ['entries_by_event', { event: 'CLAIM' }],
    ['entries_by_component', { component: 'IF.coordinator' }],
    ['entries_by_trace', { trace_id: 'trace-1' }],
    ['entries_by_kind', { kind: 'task' }],
    ['entries_by_actor', { id: 't-1' }],
    ['entries_by_actor', { kind: 'task', id: 't-1' }],
    ['entries_by_event', { swarm_id: 'alpha', event: 'rare' }],
    ['entries_by_swarm', { swarm_id: 'alpha', since: startedAt + 39, until: startedAt + 39 }],
  ];
  it.each(cases)('walks %s for %j, in its order, in both directions and from a cursor', (index, filter) => {
    const cursor = witness.query({ limit: 1 }).cursor ?? '';
    for (const each of [filter, { ...filter, order: 'desc' as const }, { ...filter, cursor }]) {
      const { sql, values } = planQuery(witness.sqlite, each);
      const steps = witness.sqlite
        .prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`)
        .all(...values, 100);
      const plan = steps.map((step) => step.detail).join('; ');
      if (!('cursor' in each)) expect(plan).toContain(index);
      expect(plan).toMatch(/USING (COVERING )?INDEX entries_by_/);
      // Only rows of one millisecond are ever sorted.
      expect(plan).not.toContain('USE TEMP B-TREE FOR ORDER BY');
      if (Object.keys(filter).length > 0) expect(plan).toContain('SEARCH');
    }
  });
});
