import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { toMicros } from '../../machines/money.ts';
import type { Json } from '../../machines/record.ts';
import { FabricError } from '../../src/errors.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import type { WitnessMessage } from '../../src/witness/message.ts';
import { type CostGrouping, costReport } from '../../src/witness/query/cost.ts';
import { paidCosts, toldCosts } from '../../src/witness/query/cost-entries.ts';
import { conditionOf, type Selection } from '../../src/witness/report/selection.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { actorMessage, actors, journalMessage, never, taskRecord } from './messages.ts';

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

const day = Date.parse('2026-01-31T00:00:00Z');
const snapshot = { status: 'done' as const, value: 'completed', context: { cost: { cost_usd: 0.5 } } };

type Transition = readonly [kind: string, id: string, by: string, event: { [key: string]: Json }];

/** Appends transitions, one millisecond after the other. */
function record(...transitions: readonly Transition[]): void {
  const next = (witness.head(actors)?.last_seq ?? 0) + 1;
  const messages = transitions.map(([kind, id, by, event], at) => {
    const whole = { id: `e-${next + at}`, type: 'COMPLETE', ...event };
    return actorMessage(next + at, taskRecord(1, { kind, id, by, event: whole, snapshot }), day + next + at);
  });
  witness.appendBatch(actors, messages, never);
}

function journal(...entries: readonly { [key: string]: Json }[]): void {
  const next = (witness.head('IF_journal/1')?.last_seq ?? 0) + 1;
  const messages: WitnessMessage[] = entries.map((entry, at) => ({
    ...journalMessage(next + at, { event: 'call', component: 'llm', by: 'alpha', ...entry }),
    time_ms: day + next + at,
  }));
  witness.appendBatch('IF_journal/1', messages, never);
}

const cost = (by: CostGrouping, selection?: Selection) => costReport(witness.sqlite, by, selection);

describe('costs', () => {
  it('are added up by swarm, model, component and day, the most expensive first', () => {
    record(
      ['task', 't-1', 'alpha', { cost: { cost_usd: 0.1, tokens_in: 10, tokens_out: 1, model: 'small' } }],
      ['task', 't-2', 'beta', { cost: { cost_usd: 0.2, tokens_in: 20, model: 'large' } }],
      ['task', 't-3', 'alpha', { type: 'START' }],
    );
    journal({ id: 'j-1', cost: { cost_usd: 0.2 } });
    expect(cost('swarm')).toEqual({
      by: 'swarm',
      groups: [
        { swarm_id: 'alpha', cost_usd: 0.3, tokens_in: 10, tokens_out: 1, entries: 2 },
        { swarm_id: 'beta', cost_usd: 0.2, tokens_in: 20, tokens_out: 0, entries: 1 },
      ],
      total: { cost_usd: 0.5, tokens_in: 30, tokens_out: 1, entries: 3 },
    });
    const names = (by: CostGrouping) => cost(by).groups.map((group) => Object.values(group)[0]);
    expect(names('model')).toEqual(['large', null, 'small']);
    expect(names('component')).toEqual(['IF.coordinator', 'llm']);
    expect(names('day')).toEqual(['2026-01-31']);
  });

  it('are of the day in UTC', () => {
    const at = (seq: number, time: number) => ({
      ...actorMessage(seq, taskRecord(4, { id: `t-${seq}` })),
      time_ms: time,
    });
    witness.appendBatch(actors, [at(1, day - 1), at(2, day), at(3, day + 86_399_999)], never);
    expect(cost('day').groups).toMatchObject([
      { day: '2026-01-30', cost_usd: 0.25 },
      { day: '2026-01-31', cost_usd: 0.5 },
    ]);
  });

  it('of a span of time include both its ends', () => {
    record(...[1, 2, 3, 4].map((n): Transition => ['task', `t-${n}`, 'alpha', { cost: { cost_usd: n } }]));
    expect(cost('swarm', { since: day + 2, until: day + 3 }).total.cost_usd).toBe(5);
    expect(cost('swarm', { swarm_id: 'beta' }).groups).toEqual([]);
  });

  it('of nothing are nothing', () => {
    expect(cost('swarm')).toEqual({
      by: 'swarm',
      groups: [],
      total: { cost_usd: 0, tokens_in: 0, tokens_out: 0, entries: 0 },
    });
  });

  it('cannot be added up by anything else', () => {
    expect(() => cost('weekday' as CostGrouping)).toThrow(FabricError);
    expect(() => cost('weekday' as CostGrouping)).toThrow('swarm, model, component, day');
  });
});

describe('one cost', () => {
  it('that a task tells and its swarm pays is counted once', () => {
    record(
      ['task', 't-1', 'alpha', { cost: { cost_usd: 0.5 } }],
      ['swarm', 'alpha', 'alpha', { type: 'SUCCESS', key: 'task:t-1', cost_usd: 0.5, reserved: true }],
      ['task', 't-2', 'alpha', { type: 'CANCEL' }],
    );
    expect(cost('swarm').total).toMatchObject({ cost_usd: 0.5, entries: 1 });
  });

  it('that is settled at the estimate, since the task tells none, is what its swarm paid', () => {
    record(
      ['task', 't-1', 'alpha', {}],
      ['swarm', 'alpha', 'alpha', { type: 'SUCCESS', key: 'task:t-1', cost_usd: 0.75, reserved: true }],
      ['task', 't-2', 'alpha', { type: 'FAIL' }],
      ['swarm', 'alpha', 'alpha', { type: 'FAILURE', key: 'task:t-2', cost_usd: 0, reserved: true }],
    );
    expect(cost('swarm').groups).toEqual([
      { swarm_id: 'alpha', cost_usd: 0.75, tokens_in: 0, tokens_out: 0, entries: 1 },
    ]);
  });

  it('that a swarm tracks is counted, also when the record of the charge tells it as a cost', () => {
    record(
      ['swarm', 'alpha', 'alpha', { type: 'CHARGE', amount_usd: 0.1, operation: 'search' }],
      ['swarm', 'beta', 'beta', { type: 'CHARGE', amount_usd: 0.2, cost: { cost_usd: 0.2, model: 'm' } }],
    );
    expect(cost('swarm').groups).toMatchObject([
      { swarm_id: 'beta', cost_usd: 0.2 },
      { swarm_id: 'alpha', cost_usd: 0.1 },
    ]);
  });

  it('of a metered call that tells its cost itself is not counted again when it is settled', () => {
    record(
      ['request', 'alpha.r-1', 'alpha', { type: 'SUCCEED', cost: { cost_usd: 0.3 } }],
      ['swarm', 'alpha', 'alpha', { type: 'SETTLE', key: 'request:alpha.r-1', cost_usd: 0.3 }],
      ['swarm', 'alpha', 'alpha', { type: 'SETTLE', key: 'request:alpha.r-2', cost_usd: 0.4 }],
    );
    expect(cost('swarm').total.cost_usd).toBe(0.7);
  });

  it('that is sent again to the journal under its id is counted once, but per swarm', () => {
    const entry = { id: 'j-1', cost: { cost_usd: 1 } };
    journal(entry, entry, { ...entry, by: 'beta' }, { ...entry, id: 'j-2' }, { cost: { cost_usd: 1 } });
    expect(cost('swarm').total).toMatchObject({ cost_usd: 4, entries: 4 });
  });

  it('that an altered row holds and that is no amount does no harm', () => {
    record(['task', 't-1', 'alpha', { cost: { cost_usd: 1 } }], ['swarm', 'alpha', 'alpha', { type: 'SUCCESS' }]);
    witness.sqlite.exec(
      "UPDATE entries SET cost_usd = 9e999 WHERE seq = 1; UPDATE entries SET payload = '{' WHERE seq = 2",
    );
    expect(cost('swarm').total).toMatchObject({ cost_usd: 0, entries: 1 });
  });
});

describe('sums', () => {
  it('of any amounts with six decimals are exact', () => {
    const amount = fc.integer({ min: 0, max: 1_000_000_000_000 }).map((micros) => micros / 1_000_000);
    fc.assert(
      fc.property(fc.array(amount, { minLength: 1, maxLength: 20 }), (amounts) => {
        witness.sqlite.exec('DELETE FROM entries');
        record(...amounts.map((usd, at): Transition => ['task', `t-${at}`, 'alpha', { cost: { cost_usd: usd } }]));
        const micros = amounts.reduce((sum, usd) => sum + BigInt(toMicros(usd)), 0n);
        expect(cost('swarm').total.cost_usd).toBe(Number(micros) / 1_000_000);
      }),
      { numRuns: 50 },
    );
  });

  it('of more tokens than SQLite can add do not overflow', () => {
    const most = Number.MAX_SAFE_INTEGER;
    journal(...Array.from({ length: 1_100 }, (_, at) => ({ id: `j-${at}`, cost: { cost_usd: 1e9, tokens_in: most } })));
    expect(cost('swarm').total).toMatchObject({ cost_usd: 1.1e12, tokens_in: Number(BigInt(most) * 1_100n) });
  });
});

describe('the plan of SQLite', () => {
  const planOf = (sql: string, values: readonly unknown[]) =>
    witness.sqlite
      .prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`)
      .all(...values)
      .map(({ detail }) => detail);

  it.each<[string, Selection]>([
    ['everything', {}],
    ['a span of time', { since: day, until: day + 1 }],
  ])('reads the costs of %s from the index of costs alone', (_, selection) => {
    const condition = conditionOf(selection);
    const [first, ...others] = planOf(toldCosts(witness.sqlite, condition), condition.values);
    expect(first).toMatch(/^(SCAN|SEARCH) told USING INDEX entries_by_cost/);
    expect(others.filter((detail) => /^SCAN/.test(detail))).toEqual([]);
  });

  it('looks at no entries of swarms but those that pay', () => {
    const plan = planOf(paidCosts(conditionOf({})), []);
    expect(plan.filter((detail) => /SCAN (entries|told)/.test(detail))).toEqual([]);
    expect(plan.join('\n')).toMatch(/SEARCH entries USING INDEX entries_by_event/);
  });

  it('does without the index in a file of an older version', () => {
    record(['task', 't-1', 'alpha', { cost: { cost_usd: 0.5 } }]);
    witness.sqlite.exec('DROP INDEX IF EXISTS entries_by_cost');
    expect(cost('swarm').total.cost_usd).toBe(0.5);
  });
});
