/** When a blocker goes to a person, who is told of it once, and which help it still gets. */
import { describe, expect, it } from 'vitest';
import { mostAsked } from '../../actors/coordinator/blockers/helper-choice.ts';
import { defaultPolicy } from '../../machines/policy/values.ts';
import { HelpWorld, reported } from './help-parts.ts';

const { help_timeout_ms, blocker_escalation_ms } = defaultPolicy;

describe('a blocker of which nothing comes', () => {
  it('goes to a person after its time, though swarms have joined', async () => {
    const { world, id } = await reported(['a'], { timers: true });
    await world.clock.advance(1_000);
    await world.coordinator.join('a', id);
    await world.clock.advance(blocker_escalation_ms! - 1);
    expect((await world.blocker(id)).state).toBe('helping');
    await world.clock.advance(1);
    await world.settled();
    expect(await world.blocker(id)).toMatchObject({
      state: 'escalated',
      escalation_reason: 'nothing has come of it in 600000 ms: no swarm has joined since',
      escalated_at: world.clock.now(),
    });
  });

  it('is not put off by a helper that leaves and comes back, again and again', async () => {
    const { world, id } = await reported(['a'], { timers: true });
    await world.coordinator.join('a', id);
    const joined_at = world.clock.now();
    await world.able('b');
    await world.clock.advance(10_000);
    await world.sweep();
    await world.coordinator.join('b', id);
    for (let i = 0; i < 3; i++) {
      await world.clock.advance(blocker_escalation_ms! / 4);
      await world.coordinator.decline('a', id);
      await world.coordinator.join('a', id);
    }
    expect((await world.blocker(id)).state).toBe('helping');
    await world.clock.advance(blocker_escalation_ms! / 4);
    await world.settled();
    expect((await world.blocker(id)).state).toBe('escalated');
    expect(world.clock.now() - joined_at).toBe(blocker_escalation_ms! + 10_000);
  });

  it('never does where the policy says so', async () => {
    const { world, id } = await reported(['a'], { timers: true, policy: { blocker_escalation_ms: null } });
    await world.coordinator.join('a', id);
    await world.clock.advance(10 * blocker_escalation_ms!);
    await world.sweep();
    expect((await world.blocker(id)).state).toBe('helping');
  });

  it('is left alone once it is resolved', async () => {
    const { world, id } = await reported(['a', 'b', 'c'], { timers: true });
    await world.coordinator.join('a', id);
    await world.coordinator.resolve('a', id, 'done');
    const written = world.records.all.length;
    await world.clock.advance(10 * blocker_escalation_ms!);
    await world.sweep();
    expect(world.records.all).toHaveLength(written);
    expect(world.toldOf('blocker_escalated')).toEqual([]);
  });
});

describe('a blocker that a person was asked about', () => {
  it('still gets the swarms that come later and qualify', async () => {
    const { world, id } = await reported([]);
    expect((await world.blocker(id)).state).toBe('escalated');
    await world.able('late');
    await world.clock.advance(1_000);
    await world.sweep();
    expect(await world.blocker(id)).toMatchObject({ state: 'escalated', helpers: [{ swarm_id: 'late' }] });
    expect(world.toldOf('help')).toEqual(['late']);
  });

  it('is told to people once, by whichever governor, also after a restart', async () => {
    const world = new HelpWorld();
    await world.governor();
    await world.governor();
    await world.report();
    await world.settled();
    const many = world.toldOf('blocker_escalated').length;
    expect(many, 'two that look at the same time send the same notice').toBeLessThanOrEqual(2);
    await world.governor();
    await world.sweep();
    expect(world.toldOf('blocker_escalated')).toHaveLength(many);
    expect(new Set(world.told.filter(({ type }) => type === 'escalation').map(({ notice }) => notice.id)).size).toBe(2);
  });

  it('is told later where the mailbox refuses', async () => {
    const world = new HelpWorld();
    await world.governor();
    world.refusesPeople = true;
    await world.report();
    await world.sweep();
    expect(world.toldOf('blocker_escalated')).toEqual([]);
    world.refusesPeople = false;
    await world.clock.advance(30_000);
    await world.sweep();
    expect(world.toldOf('blocker_escalated')).toEqual(['operator']);
  });

  it('is told by a governor that comes after it was escalated', async () => {
    const world = new HelpWorld();
    await world.report({ severity: 'critical' });
    expect(world.toldOf('blocker_escalated')).toEqual([]);
    await world.governor();
    await world.settled();
    expect(world.toldOf('blocker_escalated')).toEqual(['operator']);
  });
});

describe('help that is found', () => {
  it('is limited: after so many were asked, a person has to find a way', async () => {
    const world = new HelpWorld({ blocker_escalation_ms: null });
    for (let i = 0; i < mostAsked + 10; i++) await world.able(`s-${String(i).padStart(3, '0')}`);
    await world.governor();
    const id = await world.report();
    for (let round = 0; round < mostAsked; round++) {
      await world.clock.advance(help_timeout_ms);
      await world.sweep();
    }
    expect(await world.blocker(id)).toMatchObject({
      state: 'escalated',
      escalation_reason: `none of the ${mostAsked} swarms that were asked helps`,
    });
    expect((await world.blocker(id)).helpers).toHaveLength(mostAsked);
  });

  it('is also found where the report was committed without any', async () => {
    const world = new HelpWorld();
    await world.governor();
    await world.able('a');
    const id = await world.bareReport();
    expect(await world.blocker(id)).toMatchObject({ state: 'reported', helpers: [] });
    await world.clock.advance(1_000);
    await world.sweep();
    expect(await world.answers(id)).toEqual({ a: 'invited' });
  });
});
