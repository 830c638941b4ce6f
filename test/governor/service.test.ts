/** The governor as `infrafabric up` runs it, in a process of its own, and its commands. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FleetView } from '../../actors/governor/fleet-controls.ts';
import type { Report } from '../../actors/governor/report.ts';
import { type Fabric, isReady, joinAs, startFabric } from '../cli/built-program.ts';
import { until } from '../support/temp.ts';

let fabric: Fabric;
beforeAll(async () => {
  fabric = await startFabric('--nodes', '1', '--liveness-ms', '3600000');
  const { client, close } = await joinAs(fabric, 'cedar');
  await client.request('swarm', 'register', { capabilities: ['testing:unit', 'cli:bash'], cost_per_hour: 2 });
  await close();
});
afterAll(async () => await fabric?.stop());

interface Service {
  readonly id: string;
  readonly state: string;
  readonly pid: number;
}
const governors = async () => {
  const { services } = await fabric.json<{ services: Service[] }>('status');
  return services.filter(({ id }) => id.startsWith('governor'));
};
const json = async <Result>(...args: string[]) => await fabric.json<Result>('governor', ...args);
const run = async (...args: string[]) => await fabric.run('governor', ...args);

describe('the commands of the governor', () => {
  it('allocate a budget, charge it as the swarm, and report it', async () => {
    expect(await json('allocate', 'cedar', '--budget', '1.50', '--per-hour', '1')).toMatchObject({
      allocated_usd: 1.5,
      remaining_usd: 1,
    });
    expect(
      await json('track-cost', '0.25', '--operation', 'completion', '--model', 'small-1', '--swarm', 'cedar'),
    ).toEqual({ allocated_usd: 1.5, reserved_usd: 0, spent_usd: 0.25, remaining_usd: 0.75 });
    const refused = await run('track-cost', '0.76', '--operation', 'completion', '--swarm', 'cedar');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('BUDGET_EXHAUSTED');
    const report = await json<Report>('report');
    expect(report.swarms).toMatchObject([{ swarm_id: 'cedar', cost_usd: 0.25, budget: { spent_usd: 0.25 } }]);
    expect(report.totals).toMatchObject({ swarms: 1, cost_usd: 0.25 });
    const { stdout } = await run('report');
    expect(stdout).toMatch(/cedar +closed .*\$1\.50 +\$0\.00 +\$0\.25 +\$0\.75/);
    expect(stdout).toContain('no budget holds for all swarms together');
    const none = await json('allocate', 'cedar', '--budget', '1.50', '--per-hour', 'none');
    expect(none).toMatchObject({ hour: null, remaining_usd: 1.25 });
  });

  it('grant and revoke capabilities, and match by them', async () => {
    expect(await json('grant', 'cedar', 'system.process.execute', 'docs:api')).toMatchObject({
      grants: ['system.process.execute', 'docs:api'],
    });
    expect(await json('match', '--requires', 'testing:unit,docs:api')).toMatchObject([
      { swarm_id: 'cedar', match_score: 1, combined_score: 0.25 },
    ]);
    expect(await json('revoke', 'cedar', 'docs:api')).toMatchObject({ grants: ['system.process.execute'] });
    const { code, stdout } = await run('match', '--requires', 'testing:unit,docs:api');
    expect(code).toBe(1);
    expect(stdout).toContain('no swarm qualifies');
  });

  it('pause, drain and resume one swarm or all, and reset a circuit', async () => {
    expect(await json('pause', 'cedar', '--reason', 'maintenance')).toMatchObject({ circuit: 'open' });
    expect((await run('reset-circuit', 'cedar')).stderr).toContain('resume it');
    expect(await json('resume', 'cedar')).toMatchObject({ circuit: 'closed' });
    expect(await json('reset-circuit', 'cedar')).toMatchObject({ circuit: 'closed' });
    expect(await json<FleetView>('drain', '--all')).toMatchObject({ state: 'paused', pause: { mode: 'drain' } });
    expect((await run('report')).stdout).toContain('all swarms are paused (drain)');
    expect(await json<FleetView>('resume', '--all')).toMatchObject({ state: 'open' });
    expect(await json<FleetView>('allocate', '--fabric', '--budget', '100')).toMatchObject({
      budget: { allocated_usd: 100 },
    });
    expect(await json<FleetView>('allocate', '--fabric', '--budget', 'none')).toMatchObject({ budget: null });
  });

  it('refuse what is no amount or no target with exit code 2', async () => {
    for (const args of [
      ['allocate', 'cedar', '--budget', 'much'],
      ['allocate', '--budget', '1'],
      ['allocate', 'cedar', '--fabric', '--budget', '1'],
      ['allocate', 'cedar', '--budget', 'none'],
      ['track-cost', '-1', '--operation', 'x'],
      ['pause'],
      ['pause', 'cedar', '--all'],
    ])
      expect((await run(...args)).code, args.join(' ')).toBe(2);
    expect((await run('pause', 'nobody')).code).toBe(1);
  });
});

describe('the governor', () => {
  it('is started again when its process is killed, and goes on where it was', async () => {
    const [before] = await governors();
    process.kill(before!.pid, 'SIGKILL');
    await until('another process runs', async () => {
      const [now] = await governors();
      return now?.state === 'running' && now.pid !== before!.pid;
    });
    expect((await json<Report>('report')).totals).toMatchObject({ swarms: 1, cost_usd: 0.25 });
    expect(await fabric.json('restart', 'governor')).toEqual({ restarted: ['governor'] });
    expect((await json<Report>('report')).totals.swarms).toBe(1);
  });

  it('shares its requests with one that `serve` adds, which leaves at SIGTERM', async () => {
    const serve = fabric.begin('serve', '--services', 'governor');
    await until('serve is ready', () => isReady(serve));
    expect(await governors()).toHaveLength(2);
    const reports = await Promise.all(Array.from({ length: 4 }, async () => await json<Report>('report')));
    for (const { totals } of reports) expect(totals.cost_usd).toBe(0.25);
    serve.child.kill('SIGTERM');
    expect((await serve.finished).code).toBe(0);
  });

  it('leaves a history of money that replays', async () => {
    const replayed = await fabric.json<{ ok: boolean; transitions: Array<{ event: string }> }>(
      'witness',
      'replay',
      'swarm:cedar',
    );
    expect(replayed.ok).toBe(true);
    expect(replayed.transitions.map(({ event }) => event)).toContain('CHARGE');
    const cost = await fabric.json<{ total: { cost_usd: number } }>('witness', 'cost');
    expect(cost.total.cost_usd).toBe(0.25);
  });
});
