/** What follows from an open circuit, on a real cluster. */
import { afterEach, describe, expect, it } from 'vitest';
import type { SwarmView } from '../../actors/coordinator/swarms/swarm-view.ts';
import { until } from '../support/temp.ts';
import { type Governed, type Swarm, startGoverned } from './governing.ts';

let governed: Governed;
afterEach(async () => await governed?.stop());

const shown = async ({ id }: Swarm) => await governed.operator.request<SwarmView>('swarm', 'get', { swarm_id: id });
const about = async ({ id }: Swarm) =>
  (await governed.escalations()).filter(({ notice }) => notice['swarm_id'] === id && notice['type'] === 'circuit_open');

describe('a circuit', () => {
  it('that failures open is told to people once, by however many governors, and an operator resets it', async () => {
    governed = await startGoverned();
    await governed.another();
    const swarm = await governed.swarm();
    await governed.failures(swarm, 2);
    expect(await shown(swarm)).toMatchObject({ circuit: 'closed' });
    await governed.failures(swarm, 1);
    expect(await shown(swarm)).toMatchObject({ circuit: 'open', circuit_reasons: ['failures'] });
    await until('people are told', async () => (await about(swarm)).length > 0);
    const [told] = await about(swarm);
    expect(told!.notice).toMatchObject({ reasons: ['failures'], consecutive_failures: 3 });
    // One that begins later finds the circuit open, and what was told of it.
    await governed.another();
    const other = await governed.swarm({ budget_usd: 1 });
    await other.client.request('governor', 'track_cost', { operation: 'call', cost_usd: 1 });
    await until('people are told of the other', async () => (await about(other)).length > 0);
    expect(await about(swarm)).toEqual([told]);

    const reset = await governed.operator.request('governor', 'reset_circuit', { swarm_id: swarm.id });
    expect(reset).toMatchObject({ circuit: 'closed', counters: { consecutive_failures: 0 } });
    expect(await governed.operator.request('governor', 'reset_circuit', { swarm_id: swarm.id })).toEqual(reset);
    // It opens anew: that is another thing to be told.
    await governed.failures(swarm, 3);
    await until('people are told again', async () => (await about(swarm)).length === 2);
  });

  it('that a budget opened is not reset while nothing remains, and one that is paused is resumed', async () => {
    governed = await startGoverned();
    const reset = async ({ id }: Swarm) =>
      await governed.operator.request('governor', 'reset_circuit', { swarm_id: id });
    const spender = await governed.swarm({ budget_usd: 1 });
    await spender.client.request('governor', 'track_cost', { operation: 'call', cost_usd: 1 });
    await expect(reset(spender)).rejects.toMatchObject({ code: 'BUDGET_EXHAUSTED' });
    const paused = await governed.swarm();
    await governed.operator.request('governor', 'pause', { swarm_id: paused.id });
    await expect(reset(paused)).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(reset({ ...paused, id: 'nobody' })).rejects.toMatchObject({ code: 'SWARM_NOT_FOUND' });
    expect(await about(paused)).toEqual([]);
  });

  it('closes for one trial after its cool-down; one failure opens it again, a success closes it', async () => {
    governed = await startGoverned({ circuit_breaker_cooldown_ms: 1_500 });
    const swarm = await governed.swarm();
    await governed.failures(swarm, 3);
    const { record } = (await governed.governor.core.store.read({ kind: 'swarm', id: swarm.id }))!;
    expect((await shown(swarm)).circuit).toBe('open');
    await until('the trial has begun', async () => (await shown(swarm)).circuit === 'closed');
    const trial = (await governed.governor.core.store.read({ kind: 'swarm', id: swarm.id }))!;
    expect(trial.record).toMatchObject({
      by: 'IF.governor',
      event: { type: 'RESET', trial: true, cooldown_ms: 1_500 },
      snapshot: { context: { on_trial: true } },
    });
    expect(trial.record.at - record.at).toBeGreaterThanOrEqual(1_500);
    await governed.failures(swarm, 1);
    expect((await shown(swarm)).circuit).toBe('open');
    await until('the next trial has begun', async () => (await shown(swarm)).circuit === 'closed');
    await governed.operator.request('task', 'create', { task_id: 'trial', task_type: 'build' });
    const { token } = await swarm.client.request<{ token: number }>('task', 'claim', { task_id: 'trial' });
    await swarm.client.request('task', 'complete', { task_id: 'trial', token });
    expect(await shown(swarm)).toMatchObject({ circuit: 'closed', counters: { consecutive_failures: 0 } });
    await governed.failures(swarm, 2);
    expect((await shown(swarm)).circuit).toBe('closed');
  });

  it('whose timer is lost closes all the same, by the sweep', async () => {
    governed = await startGoverned({ circuit_breaker_cooldown_ms: 1_500 });
    const swarm = await governed.swarm();
    await governed.failures(swarm, 3);
    const { timers } = governed;
    await until('the timer is set', async () => (await timers.get('circuit-cooldown', swarm.id)) !== undefined);
    await timers.cancel('circuit-cooldown', swarm.id);
    await until('the trial has begun', async () => (await shown(swarm)).circuit === 'closed');
  });
});
