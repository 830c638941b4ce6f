/** Every dollar ties to an entry of the witness: what the governor reports and what the witness adds up agree exactly. */
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import Sqlite from 'better-sqlite3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Governor } from '../../actors/governor/governor.ts';
import type { Report } from '../../actors/governor/report.ts';
import { addUsd } from '../../machines/money.ts';
import type { FabricClient } from '../../src/bus/client.ts';
import { costReport } from '../../src/witness/query/cost.ts';
import { until } from '../support/temp.ts';
import { startFabric, type TestFabric } from './in-process.ts';

let fabric: TestFabric;
let governor: Governor;
beforeAll(async () => {
  fabric = await startFabric();
  await fabric.witness();
  await fabric.coordinator();
  await fabric.coordinator();
  governor = await Governor.start(await fabric.context('governor'));
});
afterAll(async () => {
  await governor?.stop();
  await fabric?.stop();
});

async function spend(swarm: FabricClient, operator: FabricClient, name: string): Promise<void> {
  const work = async (i: number) => {
    const task_id = `${name}-${i}`;
    const priced = i % 2 === 0 ? { cost_estimate: 0.1 } : {};
    await operator.request('task', 'create', { task_id, task_type: 'build', ...priced });
    const { claimed, token } = await swarm.request<{ claimed: boolean; token: number }>('task', 'claim', { task_id });
    // Costs beyond what is allocated open the circuit.
    if (!claimed) return;
    const costs = [
      undefined,
      { cost_usd: 0.000_001 },
      { cost_usd: 0.07, tokens_in: 12, model: 'small' },
      { cost_usd: 0.3 },
    ];
    const cost = costs[i % 4];
    if (i % 7 === 6) await swarm.request('task', 'fail', { task_id, token, error: 'no', retryable: false });
    else await swarm.request('task', 'complete', { task_id, token, ...(cost ? { cost } : {}) });
  };
  await Promise.all(Array.from({ length: 24 }, async (_, i) => await work(i)));
  for (const cost_usd of [0.05, 0.000_003])
    await swarm
      .request('governor', 'track_cost', { operation: 'search', cost_usd })
      .catch((error: { code: string }) => {
        expect(error.code).toBe('BUDGET_EXHAUSTED');
      });
}

it('swarm by swarm and in total, with estimates, charges, failures and costs beyond a budget', async () => {
  const operator = await fabric.client('operator');
  const budgets = { rich: 50, poor: 0.9, broke: 0 };
  await operator.request('governor', 'allocate_budget', { fabric: true, budget_usd: 40 });
  for (const [name, budget_usd] of Object.entries(budgets)) {
    await operator.request('governor', 'allocate_budget', { swarm_id: name, budget_usd });
    const swarm = await fabric.client(name);
    await swarm.request('swarm', 'register', { capabilities: [], cost_per_hour: 1 });
  }
  await Promise.all(Object.keys(budgets).map(async (name) => await spend(await fabric.client(name), operator, name)));

  const report = await operator.request<Report>('governor', 'report', {});
  const sqlite = new Sqlite(join(fabric.cluster.dataDir, 'witness.db'), { readonly: true });
  try {
    const jsm = await jetstreamManager(await fabric.cluster.connect(), { checkAPI: false });
    const { last_seq } = (await jsm.streams.info(fabric.cluster.namespace.actorsStream)).state;
    const seen = sqlite.prepare<[], { seq: number }>(
      "SELECT max(seq) AS seq FROM entries WHERE chain LIKE 'IF_actors/%'",
    );
    await until('the witness has caught up', () => (seen.get()?.seq ?? 0) >= last_seq);
    const { groups } = costReport(sqlite, 'swarm');
    const witnessed = Object.fromEntries(
      groups.map((group) => [(group as { swarm_id?: string }).swarm_id, group.cost_usd]),
    );
    const reported = Object.fromEntries(
      report.swarms.filter(({ cost_usd }) => cost_usd > 0).map(({ swarm_id, cost_usd }) => [swarm_id, cost_usd]),
    );
    expect(reported).toEqual(witnessed);
    expect(reported['rich']).toBeGreaterThan(1);
    const poor = report.swarms.find(({ swarm_id }) => swarm_id === 'poor')!;
    expect(poor.cost_usd).toBe(addUsd(poor.budget.spent_usd, poor.budget.overrun_usd));
    expect(report.totals.cost_usd).toBe(Object.values(reported).reduce(addUsd, 0));
    for (const { budget, swarm_id } of report.swarms) {
      expect(budget.reserved_usd, swarm_id).toBe(0);
      expect(budget.spent_usd, swarm_id).toBeLessThanOrEqual(budget.allocated_usd);
    }
    const { budget } = report.fleet!;
    expect(addUsd(budget!.spent_usd, budget!.overrun_usd), 'of the whole fabric').toBe(report.totals.cost_usd);
  } finally {
    sqlite.close();
  }
});
