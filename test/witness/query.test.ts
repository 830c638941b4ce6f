import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { planQuery, type QueryFilter, queryEntries } from '../../src/witness/query/query.ts';
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
  it.each(cases)('walks %s for %j', (index, filter) => {
    expect(planOf(filter).join('; ')).toContain(index);
  });

  const values = {
    swarm_id: 'alpha',
    event: 'note',
    component: 'mine',
    trace_id: 'trace-1',
    kind: 'journal',
    id: 't-1',
  };
  const names = Object.keys(values) as ReadonlyArray<keyof typeof values>;
  const range = { since: startedAt + 1, until: startedAt + 30 };
  /** Every combination of filters by value, each with and without a range of time. */
  const combinations = Array.from({ length: 2 ** names.length }, (_, bits) =>
    Object.fromEntries(names.filter((_name, at) => bits & (1 << at)).map((name) => [name, values[name]])),
  ).flatMap((filter): QueryFilter[] => [filter, { ...filter, ...range }]);

  it('searches an index, in its order, for every combination of filters, in both directions and from a cursor', () => {
    for (const order of ['asc', 'desc'] as const) {
      const cursor = witness.query({ limit: 1, order }).cursor ?? '';
      for (const filter of combinations) {
        for (const query of [
          { ...filter, order },
          { ...filter, order, cursor },
        ]) {
          const plan = planOf(query).join('; ');
          const searched = Object.keys(query).length > 1 ? /^SEARCH/ : /^SCAN/;
          expect([query, plan]).toEqual([query, expect.stringMatching(searched)]);
          expect(plan).toMatch(/USING (COVERING )?INDEX entries_by_/);
          // Only rows of one millisecond are ever sorted.
          expect(plan).not.toContain('USE TEMP B-TREE FOR ORDER BY');
        }
      }
    }
  });

  it('counts by an index alone before it chooses one', () => {
    const asked: string[] = [];
    const prepare = witness.sqlite.prepare.bind(witness.sqlite);
    const noting = (sql: string) => {
      asked.push(sql);
      return prepare(sql);
    };
    const spying = new Proxy(witness.sqlite, {
      get: (target, name) => (name === 'prepare' ? noting : Reflect.get(target, name)),
    });
    for (const filter of combinations) planQuery(spying, filter);
    const counts = new Set(asked);
    expect(counts.size).toBeGreaterThan(6);
    for (const sql of counts) {
      const steps = prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).all(
        ...(sql.match(/\?/g) ?? []).map(() => 1),
      );
      expect(steps.map((step) => step.detail).join('; ')).toMatch(/SEARCH entries USING COVERING INDEX/);
    }
  });

  function planOf(filter: QueryFilter): string[] {
    const { sql, values: bound } = planQuery(witness.sqlite, filter);
    const steps = witness.sqlite.prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).all(...bound, 100);
    return steps.map((step) => step.detail);
  }
});
