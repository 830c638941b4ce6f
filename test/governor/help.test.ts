import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mostAsked } from '../../actors/coordinator/blockers/helper-choice.ts';
import { defaultPolicy } from '../../machines/policy/values.ts';
import { HelpWorld } from './help-parts.ts';

const { help_timeout_ms, blocker_escalation_ms } = defaultPolicy;

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
    const world = new HelpWorld();
    await world.able('a');
    await world.governor();
    const id = await world.report();
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
    const world = new HelpWorld();
    for (const id of ['a', 'b']) await world.able(id);
    await world.governor();
    const id = await world.report();
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
    const world = new HelpWorld();
    for (const id of ['a', 'b', 'c']) await world.able(id);
    await world.governor();
    await world.handleTimers();
    const id = await world.report();
    await world.coordinator.join('b', id);
    await world.clock.advance(help_timeout_ms - 1);
    await world.sweep();
    expect(await world.answers(id)).toEqual({ a: 'invited', b: 'joined' });
    await world.clock.advance(1);
    expect(await world.answers(id)).toEqual({ a: 'silent', b: 'joined', c: 'invited' });
    expect(world.toldOf('help')).toEqual(['a', 'b', 'c']);
  });

  it('is found by the sweep where the timer is lost', async () => {
    const world = new HelpWorld();
    for (const id of ['a', 'b', 'c']) await world.able(id);
    await world.governor();
    const id = await world.report();
    await world.clock.advance(help_timeout_ms);
    await world.sweep();
    expect(await world.answers(id)).toEqual({ a: 'silent', b: 'silent', c: 'invited' });
  });

  it('may still join, unless as many help as may', async () => {
    const world = new HelpWorld();
    for (const id of ['a', 'b', 'c', 'd']) await world.able(id);
    await world.governor();
    const id = await world.report();
    await world.clock.advance(help_timeout_ms);
    await world.sweep();
    for (const by of ['c', 'a']) await world.coordinator.join(by, id);
    expect(await world.answers(id)).toEqual({ a: 'joined', b: 'silent', c: 'joined', d: 'invited' });
    for (const by of ['b', 'd'])
      await expect(world.coordinator.join(by, id)).rejects.toMatchObject({ code: 'POLICY_VIOLATION' });
  });

  it('leaves the blocker to a person when nobody is left to ask', async () => {
    const world = new HelpWorld();
    await world.able('a');
    await world.governor();
    await world.handleTimers();
    const id = await world.report();
    await world.clock.advance(help_timeout_ms);
    await world.settled();
    expect(await world.events(id)).toEqual(['REPORT', 'INVITE', 'INVITE', 'ESCALATE']);
    expect(await world.blocker(id)).toMatchObject({ state: 'escalated', helpers: [{ answer: 'silent' }] });
    expect(world.toldOf('blocker_escalated')).toEqual(['operator']);
  });
});

describe('a helper that goes offline', () => {
  it('is replaced, may come back and go on, and is not counted meanwhile', async () => {
    const world = new HelpWorld({ max_swarms_per_task: 2 });
    for (const id of ['a', 'b']) await world.able(id);
    await world.governor();
    const id = await world.report();
    await world.coordinator.join('a', id);
    await world.offline('a');
    await world.clock.advance(10_000);
    await world.sweep();
    expect(await world.answers(id)).toEqual({ a: 'joined', b: 'invited' });
    await world.coordinator.join('b', id);
    expect(await world.coordinator.resolve('a', id, 'done')).toMatchObject({ state: 'resolved', resolved_by: 'a' });
  });

  it('leaves the blocker to a person when nobody else qualifies', async () => {
    const world = new HelpWorld();
    await world.able('a');
    await world.governor();
    const id = await world.report();
    await world.coordinator.join('a', id);
    await world.offline('a');
    await world.clock.advance(10_000);
    await world.sweep();
    expect((await world.blocker(id)).state).toBe('escalated');
  });
});

describe('a blocker of which nothing comes', () => {
  it('goes to a person after its time, though swarms have joined', async () => {
    const world = new HelpWorld();
    await world.able('a');
    await world.governor();
    await world.handleTimers();
    const id = await world.report();
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
    const world = new HelpWorld();
    await world.able('a');
    await world.governor();
    await world.handleTimers();
    const id = await world.report();
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
    const world = new HelpWorld({ blocker_escalation_ms: null });
    await world.able('a');
    await world.governor();
    await world.handleTimers();
    const id = await world.report();
    await world.coordinator.join('a', id);
    await world.clock.advance(10 * blocker_escalation_ms!);
    await world.sweep();
    expect((await world.blocker(id)).state).toBe('helping');
  });

  it('is left alone once it is resolved', async () => {
    const world = new HelpWorld();
    for (const id of ['a', 'b', 'c']) await world.able(id);
    await world.governor();
    await world.handleTimers();
    const id = await world.report();
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
    const world = new HelpWorld();
    await world.governor();
    const id = await world.report();
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

describe('whatever swarms answer, in whatever order', () => {
  const swarms = ['a', 'b', 'c', 'd', 'e'];
  const one = fc.constantFrom(...swarms);
  const step = fc.oneof(
    fc.record({ what: fc.constantFrom('join', 'decline', 'able', 'offline'), by: one }),
    fc.record({ what: fc.constant('wait'), ms: fc.constantFrom(1, 6_000, help_timeout_ms) }),
  );

  it('nobody is asked twice, nor the blocked swarm, nor too many at a time; without any help a person is asked', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const world = new HelpWorld();
        for (const id of ['stuck', 'a', 'b']) await world.able(id);
        for (let i = 0; i < 2; i++) await world.governor();
        const id = await world.report();
        for (const taken of steps) {
          if ('ms' in taken) await world.clock.advance(taken.ms);
          else await world.step(taken.what, taken.by, id);
          await world.sweep();
        }
        await world.clock.advance(6_000);
        await world.sweep();
        const { state, helpers } = await world.blocker(id);
        const ids = helpers.map(({ swarm_id }) => swarm_id);
        expect(new Set(ids).size).toBe(ids.length);
        expect(ids).not.toContain('stuck');
        expect(world.toldOf('help').toSorted()).toEqual(ids.toSorted());
        const helping = helpers.filter(({ answer }) => answer === 'joined' || answer === 'invited');
        if (!helping.some(({ swarm_id }) => world.isOnline(swarm_id))) expect(state).toBe('escalated');
        const most = defaultPolicy.max_swarms_per_task - 1;
        for (const { record } of world.records.all) {
          const asked = record.event.type === 'INVITE' ? (record.event['swarm_ids'] as string[]) : [];
          expect(asked.length).toBeLessThanOrEqual(most);
        }
        const online = helpers.filter(({ answer, swarm_id }) => answer === 'joined' && world.isOnline(swarm_id));
        if (steps.every((taken) => 'ms' in taken || taken.what !== 'able'))
          expect(online.length).toBeLessThanOrEqual(most);
      }),
      { numRuns: 60 },
    );
  });
});
