/** What a task waits for, and of each swarm whether it qualifies: the same as its claim would be answered. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TaskExplain } from '../../actors/coordinator/next/task-explain.ts';
import { FleetKnown } from '../../actors/fleet-known.ts';
import { blockerMachine } from '../../machines/blocker/machine.ts';
import { fleetRef } from '../../machines/fleet/context.ts';
import { fleetMachine } from '../../machines/fleet/machine.ts';
import { defaultPolicy } from '../../machines/policy/values.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { systemClock } from '../../src/clock.ts';
import { MemoryRecordLog } from '../../src/store/memory-record-log.ts';
import { type NextProcess, nextProcess, policy } from './next-parts.ts';

let one: NextProcess;
let explaining: TaskExplain;
beforeEach(() => {
  const fleet = new FleetKnown();
  one = nextProcess(new MemoryRecordLog(), { onCommit: (stored) => fleet.apply(stored) });
  explaining = new TaskExplain({
    readTask: async (id) => await one.store.read({ kind: taskMachine.kind, id }),
    catchUp: async () => {},
    swarms: one.next.swarms,
    semaphores: one.next.semaphores,
    fleet,
    policy: { current: { ...defaultPolicy, min_capability_match: policy.min_capability_match } },
    now: () => systemClock.now(),
  });
});
afterEach(() => one.next.stop());

async function tellFleet(event: { type: string; [field: string]: unknown }): Promise<void> {
  await one.store.dispatch(fleetMachine, fleetRef.id, { by: 'operator', ...event }, { by: 'operator', trace_id: 'f' });
}

async function waitingFor(task_id: string) {
  const { state, waiting_for } = await explaining.explain({ task_id });
  return { state, waiting_for };
}

describe('what a task waits for', () => {
  it('is nothing, as long as only a swarm is missing, and when all is over', async () => {
    await one.register('alpha');
    await one.create({ task_id: 'a' });
    expect(await waitingFor('a')).toEqual({ state: 'available', waiting_for: null });
    await one.tasks.claim('alpha', 'a');
    expect(await waitingFor('a')).toEqual({ state: 'claimed', waiting_for: { owner: 'alpha' } });
    await one.tasks.complete('alpha', 'a', {});
    expect(await waitingFor('a')).toEqual({ state: 'completed', waiting_for: null });
  });

  it('is what comes before it, its time, or a place of its key', async () => {
    await one.register('alpha');
    const due_at = systemClock.now() + 60_000;
    await one.create({ task_id: 'a', concurrency_key: 'k' }, { task_id: 'b', concurrency_key: 'k' });
    await one.create({ task_id: 'late', not_before: due_at }, { task_id: 'c', depends_on: ['a', 'b'] });
    await one.tasks.claim('alpha', 'a');
    expect((await waitingFor('c')).waiting_for).toEqual({ dependencies: ['a', 'b'] });
    expect((await waitingFor('late')).waiting_for).toEqual({ due_at });
    expect((await waitingFor('b')).waiting_for).toEqual({
      concurrency_key: 'k',
      concurrency_limit: 1,
      holders: ['a'],
    });
  });

  it('is, while it is blocked, its blocker', async () => {
    await one.register('alpha');
    await one.create({ task_id: 'a' });
    const claim = await one.tasks.claim('alpha', 'a');
    const token = claim.claimed ? claim.token : 0;
    const blocker_id = `blocker-of-${blockerMachine.kind}`;
    const event = { type: 'BLOCK', by: 'alpha', token, blocker_id };
    await one.store.dispatch(taskMachine, 'a', event, { by: 'alpha', trace_id: 'a' });
    expect(await waitingFor('a')).toEqual({ state: 'blocked', waiting_for: { owner: 'alpha', blocker_id } });
  });

  it('is the swarm that it is kept for, or the choice of one', async () => {
    await one.register('alpha');
    await one.register('beta');
    const at = systemClock.now();
    await one.create({ task_id: 'a', assign: true });
    const { waiting_for: first } = await waitingFor('a');
    expect(first).toEqual({ assigned_to: null, assigned_until: expect.any(Number) });
    expect(first?.assigned_until).toBeGreaterThan(at);
    const until = at + 60_000;
    const event = { type: 'ASSIGN', to: 'beta', until, match_score: 1, combined_score: null, reason: 'the best' };
    await one.store.dispatch(taskMachine, 'a', event, { by: 'IF.governor', trace_id: 'a' });
    expect(await waitingFor('a')).toEqual({
      state: 'available',
      waiting_for: { assigned_to: 'beta', assigned_until: until },
    });
    const { swarms } = await explaining.explain({ task_id: 'a' });
    expect(swarms.map(({ swarm_id, rule, code }) => [swarm_id, rule, code])).toEqual([
      ['alpha', 'assignment', 'TASK_NOT_AVAILABLE'],
      ['beta', undefined, undefined],
    ]);
  });

  it('is not known of a task that does not exist', async () => {
    await expect(explaining.explain({ task_id: 'none' })).rejects.toMatchObject({ code: 'TASK_NOT_FOUND' });
  });
});

describe('whether a swarm qualifies', () => {
  it('is told of every swarm, by id, with what is in the way', async () => {
    await one.register('able', { capabilities: ['x'] });
    await one.register('busy', { capabilities: ['x'], max_concurrent_tasks: 1 });
    await one.register('left', { capabilities: ['x'] });
    await one.swarms.unregister('left');
    await one.register('off', { capabilities: ['x'] });
    await one.tell('off', { type: 'OFFLINE' });
    await one.register('paused', { capabilities: ['x'] });
    await one.tell('paused', { type: 'PAUSE', by: 'operator' });
    await one.register('unable', { capabilities: ['y'] });
    await one.create({ task_id: 'other' }, { task_id: 'a', requires: ['x'] });
    await one.tasks.claim('busy', 'other');
    const { swarms, cursor } = await explaining.explain({ task_id: 'a' });
    expect(swarms.map(({ swarm_id, qualifies, rule, code }) => [swarm_id, qualifies, rule, code])).toEqual([
      ['able', true, undefined, undefined],
      ['busy', false, 'free_slot', 'CAPACITY_EXCEEDED'],
      ['left', false, 'registered', 'SWARM_NOT_FOUND'],
      ['off', false, 'online', 'SWARM_OFFLINE'],
      ['paused', false, 'circuit_closed', 'CIRCUIT_OPEN'],
      ['unable', false, 'capability_match', 'CAPABILITY_MISSING'],
    ]);
    expect(swarms.find(({ swarm_id }) => swarm_id === 'unable')?.reason).toContain('lacks x');
    expect(cursor).toBeNull();
  });

  it('of a priced task depends on the money that remains, and its owner still qualifies', async () => {
    for (const id of ['owner', 'poor', 'rich']) await one.register(id, { max_concurrent_tasks: 1 });
    await one.tell('owner', { type: 'ALLOCATE', budget_usd: 2 });
    await one.tell('rich', { type: 'ALLOCATE', budget_usd: 2 });
    await one.create({ task_id: 'a', cost_estimate: 2 });
    await one.tasks.claim('owner', 'a');
    const { swarms } = await explaining.explain({ task_id: 'a' });
    expect(swarms.map(({ swarm_id, code }) => [swarm_id, code])).toEqual([
      ['owner', undefined],
      ['poor', 'BUDGET_EXHAUSTED'],
      ['rich', undefined],
    ]);
  });

  it('is told with what it would be chosen by', async () => {
    await one.register('alpha', { capabilities: ['x', 'y'] });
    await one.create({ task_id: 'a', requires: ['x', 'y', 'z'] });
    const { swarms } = await explaining.explain({ task_id: 'a' });
    expect(swarms).toEqual([
      {
        swarm_id: 'alpha',
        qualifies: false,
        rule: 'capability_match',
        code: 'CAPABILITY_MISSING',
        reason: expect.stringContaining('lacks z'),
        match_score: 2 / 3,
        combined_score: null,
        reputation: 0.5,
        cost_per_hour: 0,
        remaining_usd: 0,
        free_slots: null,
      },
    ]);
  });

  it('no swarm does while the whole fabric is paused, nor beyond the budget that all share', async () => {
    await one.register('alpha');
    await one.tell('alpha', { type: 'ALLOCATE', budget_usd: 5 });
    await one.create({ task_id: 'dear', cost_estimate: 2 }, { task_id: 'cheap', cost_estimate: 1 });
    await tellFleet({ type: 'ALLOCATE', budget_usd: 1 });
    const ruleOf = async (task_id: string) => (await explaining.explain({ task_id })).swarms[0]?.rule;
    expect([await ruleOf('dear'), await ruleOf('cheap')]).toEqual(['fabric_budget', undefined]);
    expect(await one.tasks.claim('alpha', 'dear')).toMatchObject({ claimed: false, reason: 'BUDGET_EXHAUSTED' });
    await one.tasks.claim('alpha', 'cheap');
    expect(await ruleOf('cheap'), 'what it holds for this task it needs no second time').toBeUndefined();
    await tellFleet({ type: 'PAUSE', reason: 'maintenance' });
    const { swarms } = await explaining.explain({ task_id: 'dear' });
    expect(swarms[0]).toMatchObject({ rule: 'fabric_open', code: 'CIRCUIT_OPEN' });
    expect(swarms[0]?.reason).toContain('maintenance');
  });

  it('comes in pages', async () => {
    const ids = Array.from({ length: 5 }, (_, i) => `swarm-${i}`);
    for (const id of ids) await one.register(id);
    await one.create({ task_id: 'a' });
    const seen: string[] = [];
    let cursor: string | null | undefined;
    do {
      const page = await explaining.explain({ task_id: 'a', limit: 2, cursor: cursor ?? undefined });
      seen.push(...page.swarms.map(({ swarm_id }) => swarm_id));
      cursor = page.cursor;
    } while (cursor !== null);
    expect(seen).toEqual(ids);
  });

  it('is what the answer to its claim then is', async () => {
    const description = fc.record({
      capabilities: fc.subarray(['x', 'y', 'z']),
      max_concurrent_tasks: fc.constantFrom(undefined, 1),
      budget: fc.constantFrom(0, 1, 5),
      event: fc.constantFrom(undefined, 'PAUSE', 'OFFLINE', 'UNREGISTER'),
      busy: fc.boolean(),
    });
    const wanted = fc.record({
      requires: fc.subarray(['x', 'y', 'z']),
      cost_estimate: fc.constantFrom(undefined, 1, 3),
    });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(description, wanted, async ({ budget, event, busy, ...registration }, content) => {
        const [swarm, task_id, other] = [`swarm-${++round}`, `task-${round}`, `other-${round}`];
        await one.register(swarm, registration as { capabilities: string[] });
        await one.create({ task_id, ...content }, { task_id: other });
        if (budget > 0) await one.tell(swarm, { type: 'ALLOCATE', budget_usd: budget });
        if (busy) await one.tasks.claim(swarm, other);
        if (event) await one.tell(swarm, { type: event, by: 'operator' });
        const { swarms } = await explaining.explain({ task_id });
        const said = swarms.find(({ swarm_id }) => swarm_id === swarm);
        const answer = await one.tasks.claim(swarm, task_id).catch(({ code }) => ({ claimed: false, reason: code }));
        expect(said?.qualifies).toBe(answer.claimed);
        if (!answer.claimed && 'reason' in answer) expect(said?.code).toBe(answer.reason);
      }),
      { numRuns: 60 },
    );
  });
});
