/** Events of a blocker with everything filled in that a test does not care about. */
import type { BlockerContext } from '../../machines/blocker/context.ts';
import type { BlockerEvent, InviteHelpers, ReportBlocker } from '../../machines/blocker/events.ts';
import { blockerMachine } from '../../machines/blocker/machine.ts';
import type { Snapshot } from '../../machines/record.ts';
import { fold } from './fold.ts';

export const t0 = 1_700_000_000_000;

export const report = (fields: Partial<ReportBlocker> = {}): ReportBlocker => ({
  type: 'REPORT',
  at: t0,
  by: 'beta',
  task_id: 'task-1',
  token: 7,
  blocker_type: 'missing-access',
  description: 'no access to the staging database',
  severity: 'high',
  required_capabilities: ['ops:database', 'ops:database'],
  trace_id: 'trace-1',
  ...fields,
});
export const invite = (...swarm_ids: string[]) => ({ type: 'INVITE', at: t0 + 1, swarm_ids }) as const;
/** At `at` some are taken for silent, and others asked in their place. */
export const instead = (lapsed: string[], swarm_ids: string[], at = t0 + 100): InviteHelpers => ({
  type: 'INVITE',
  at,
  swarm_ids,
  lapsed,
});
export const join = (by: string, at = t0 + 2) => ({ type: 'JOIN', at, by }) as const;
export const decline = (by: string, at = t0 + 3) => ({ type: 'DECLINE', at, by }) as const;
export const resolve = (by: string, resolution = 'access granted') =>
  ({ type: 'RESOLVE', at: t0 + 5, by, resolution }) as const;
export const escalate = { type: 'ESCALATE', at: t0 + 4, reason: 'no one is qualified' } as const;

/** The blocker after these events, all of which must be accepted. */
export const having = (...events: BlockerEvent[]) => fold(blockerMachine, events);

/** Why the blocker refuses an event; undefined when it accepts it. */
export const refused = (snapshot: Snapshot<BlockerContext>, event: BlockerEvent) =>
  blockerMachine.explain(snapshot, event);
