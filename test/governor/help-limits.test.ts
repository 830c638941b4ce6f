/** What help survives: calls that were lost with a process, and floods of reports. */
import { describe, expect, it } from 'vitest';
import { mostOpenReports } from '../../actors/coordinator/blockers/blocker-reporting.ts';
import { defaultPolicy } from '../../machines/policy/values.ts';
import { HelpWorld } from './help-parts.ts';

const { help_timeout_ms } = defaultPolicy;

describe('a call for help that was lost', () => {
  it('is sent again by a governor while the answer is waited for, once, and not to those who answered', async () => {
    const world = new HelpWorld();
    for (const id of ['a', 'b']) await world.able(id);
    await world.governor();
    world.losesNotices = true;
    const id = await world.report();
    await world.coordinator.join('b', id);
    await world.sweep();
    expect(world.toldOf('help'), 'whoever asked them has a moment to tell them').toEqual([]);
    await world.clock.advance(1_000);
    await world.sweep();
    expect(world.told.filter(({ type }) => type === 'help')).toMatchObject([
      { to: 'a', notice: { id: `help.${id}`, blocker_id: id, answer_by: expect.any(Number) } },
    ]);
    const sent = world.sent.length;
    await world.clock.advance(1_000);
    await world.sweep();
    expect(world.sent).toHaveLength(sent);
  });

  it('is not sent any more when the time to answer is over', async () => {
    const world = new HelpWorld();
    await world.able('a');
    world.losesNotices = true;
    await world.report();
    await world.clock.advance(help_timeout_ms);
    await world.governor();
    await world.sweep();
    expect(world.toldOf('help')).toEqual([]);
  });
});

describe('a flood of reports', () => {
  it('is refused at a number of open blockers without a task, and goes on when some are resolved', async () => {
    const world = new HelpWorld();
    const report = async (i: number) => await world.report({ description: `no ${i}`, required_capabilities: [] });
    const first = await report(0);
    for (let i = 1; i < mostOpenReports; i++) await report(i);
    await expect(report(mostOpenReports)).rejects.toMatchObject({
      code: 'RATE_LIMITED',
      message: expect.stringContaining('resolve some of them'),
      details: { open_blockers: mostOpenReports },
    });
    expect(await report(0), 'what is on record is found').toBe(first);
    await world.coordinator.resolve('stuck', first, 'done');
    await report(mostOpenReports);
  });

  it('keeps no blocker from its turn, however many lack help', async () => {
    const world = new HelpWorld();
    await world.governor();
    const reported = async (by: string, i: number) =>
      (
        await world.coordinator.report(by, {
          type: 'access',
          description: `no ${i}`,
          severity: 'high',
          required_capabilities: [by === 'last' ? 'ops:other' : 'ops:database'],
        })
      ).blocker_id;
    // More than all looks of the sweep until it looks again at the first ones.
    for (let i = 0; i < 1_200; i++) await reported(`flood-${i % 6}`, i);
    const id = await reported('last', 0);
    await world.able('able', { capabilities: ['ops:other'] });
    for (let i = 0; i < 10; i++) {
      await world.clock.advance(1_000);
      await world.sweep();
    }
    expect(await world.answers(id)).toEqual({ able: 'invited' });
  });
});
