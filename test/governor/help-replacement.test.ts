/** Swarms that were asked and do not help, by what they answer or by silence, are replaced by the next best. */
import { describe, expect, it } from 'vitest';
import { defaultPolicy } from '../../machines/policy/values.ts';
import { HelpWorld, reported } from './help-parts.ts';

const { help_timeout_ms } = defaultPolicy;

describe('a swarm that declines', () => {
  it('is replaced at once by the next best, who is told', async () => {
    const world = new HelpWorld();
    for (const [id, cost_per_hour] of [
      ['a', 1],
      ['b', 2],
      ['c', 3],
      ['d', 4],
    ] as const)
      await world.able(id, { cost_per_hour });
    await world.governor();
    const id = await world.report();
    expect(world.toldOf('help')).toEqual(['a', 'b']);
    await world.coordinator.decline('a', id, 'busy');
    await world.settled();
    expect(await world.answers(id)).toEqual({ a: 'declined', b: 'invited', c: 'invited' });
    expect(world.toldOf('help')).toEqual(['a', 'b', 'c']);
    expect(await world.blocker(id)).toMatchObject({
      helpers: [{ reason: 'busy' }, {}, { answer_by: world.clock.now() + help_timeout_ms, why: { cost_per_hour: 3 } }],
    });
  });

  it('is not asked again, and when nobody else qualifies a person is', async () => {
    const { world, id } = await reported(['a']);
    await world.coordinator.decline('a', id);
    await world.settled();
    expect(await world.events(id)).toEqual(['REPORT', 'INVITE', 'DECLINE', 'ESCALATE']);
    expect(await world.blocker(id)).toMatchObject({
      state: 'escalated',
      escalation_reason:
        'no swarm that was asked helps, and no other one qualifies: asked for is ops:database (at least 0.7 of that)',
    });
    expect(world.told.at(-1)).toMatchObject({
      to: 'operator',
      type: 'escalation',
      notice: {
        id: `blocker-escalated.${id}`,
        type: 'blocker_escalated',
        blocker_id: id,
        helpers: [{ swarm_id: 'a', answer: 'declined' }],
      },
    });
  });

  it('brings nobody else while another helps and there is no one left', async () => {
    const { world, id } = await reported(['a', 'b']);
    await world.coordinator.join('a', id);
    await world.coordinator.decline('b', id);
    await world.settled();
    expect(await world.blocker(id)).toMatchObject({ state: 'helping', escalation_reason: null });
    await world.coordinator.decline('a', id);
    await world.settled();
    expect((await world.blocker(id)).state).toBe('escalated');
  });

  it('is replaced once, however many governors there are', async () => {
    const world = new HelpWorld();
    for (const id of ['a', 'b', 'c', 'd', 'e']) await world.able(id);
    for (let i = 0; i < 3; i++) await world.governor();
    const id = await world.report();
    await world.coordinator.decline('a', id);
    await world.settled();
    await world.sweep();
    expect(await world.answers(id)).toEqual({ a: 'declined', b: 'invited', c: 'invited' });
    expect(world.toldOf('help')).toEqual(['a', 'b', 'c']);
  });
});

describe('a swarm that keeps silent', () => {
  it('is replaced when its time is over and not before, by its timer', async () => {
    const { world, id } = await reported(['a', 'b', 'c'], { timers: true });
    await world.coordinator.join('b', id);
    await world.clock.advance(help_timeout_ms - 1);
    await world.sweep();
    expect(await world.answers(id)).toEqual({ a: 'invited', b: 'joined' });
    await world.clock.advance(1);
    expect(await world.answers(id)).toEqual({ a: 'silent', b: 'joined', c: 'invited' });
    expect(world.toldOf('help')).toEqual(['a', 'b', 'c']);
  });

  it('is found by the sweep where the timer is lost', async () => {
    const { world, id } = await reported(['a', 'b', 'c']);
    await world.clock.advance(help_timeout_ms);
    await world.sweep();
    expect(await world.answers(id)).toEqual({ a: 'silent', b: 'silent', c: 'invited' });
  });

  it('may still join, unless as many help as may', async () => {
    const { world, id } = await reported(['a', 'b', 'c', 'd']);
    await world.clock.advance(help_timeout_ms);
    await world.sweep();
    for (const by of ['c', 'a']) await world.coordinator.join(by, id);
    expect(await world.answers(id)).toEqual({ a: 'joined', b: 'silent', c: 'joined', d: 'invited' });
    for (const by of ['b', 'd'])
      await expect(world.coordinator.join(by, id)).rejects.toMatchObject({ code: 'POLICY_VIOLATION' });
  });

  it('leaves the blocker to a person when nobody is left to ask', async () => {
    const { world, id } = await reported(['a'], { timers: true });
    await world.clock.advance(help_timeout_ms);
    await world.settled();
    expect(await world.events(id)).toEqual(['REPORT', 'INVITE', 'INVITE', 'ESCALATE']);
    expect(await world.blocker(id)).toMatchObject({ state: 'escalated', helpers: [{ answer: 'silent' }] });
    expect(world.toldOf('blocker_escalated')).toEqual(['operator']);
  });
});

describe('a helper that goes offline', () => {
  it('is replaced, may come back and go on, and is not counted meanwhile', async () => {
    const { world, id } = await reported(['a', 'b'], { policy: { max_swarms_per_task: 2 } });
    await world.coordinator.join('a', id);
    await world.offline('a');
    await world.clock.advance(10_000);
    await world.sweep();
    expect(await world.answers(id)).toEqual({ a: 'joined', b: 'invited' });
    await world.coordinator.join('b', id);
    expect(await world.coordinator.resolve('a', id, 'done')).toMatchObject({ state: 'resolved', resolved_by: 'a' });
  });

  it('leaves the blocker to a person when nobody else qualifies', async () => {
    const { world, id } = await reported(['a']);
    await world.coordinator.join('a', id);
    await world.offline('a');
    await world.clock.advance(10_000);
    await world.sweep();
    expect((await world.blocker(id)).state).toBe('escalated');
  });
});
