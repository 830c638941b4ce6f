/** What holds of help whatever swarms answer, in whatever order. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultPolicy } from '../../machines/policy/values.ts';
import { HelpWorld } from './help-parts.ts';

const { help_timeout_ms } = defaultPolicy;

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
