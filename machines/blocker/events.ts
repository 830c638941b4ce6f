/** What can happen to a blocker. */
import type { MachineEvent } from '../machine.ts';
import type { BlockerContent, HelperFactors } from './context.ts';

/** `blocker_type` is the `type` of the report. */
export interface ReportBlocker extends MachineEvent, BlockerContent {
  readonly type: 'REPORT';
  by: string;
  trace_id: string;
}

/** Swarms are asked for help, where others may have kept silent. Those who were asked before are not asked again. */
export interface InviteHelpers extends MachineEvent {
  readonly type: 'INVITE';
  swarm_ids: readonly string[];
  /** Why each was chosen, by its id. */
  why?: { readonly [swarm_id: string]: HelperFactors };
  /** Until when they can answer. */
  answer_by?: number;
  /** Who was asked before and has not answered in time. */
  lapsed?: readonly string[];
}

interface ByHelper extends MachineEvent {
  by: string;
}

/** An invited swarm helps. One that declined may think better of it. */
export interface JoinBlocker extends ByHelper {
  readonly type: 'JOIN';
}

/** An invited swarm does not help, or no longer. */
export interface DeclineBlocker extends ByHelper {
  readonly type: 'DECLINE';
  reason?: string | null;
}

export interface ResolveBlocker extends MachineEvent {
  readonly type: 'RESOLVE';
  /** The reporter, a helper that joined, `operator`, or a service as `IF.<name>`. */
  by: string;
  resolution: string;
}

/** A person is asked. */
export interface EscalateBlocker extends MachineEvent {
  readonly type: 'ESCALATE';
  reason: string;
}

export type BlockerEvent =
  | ReportBlocker
  | InviteHelpers
  | JoinBlocker
  | DeclineBlocker
  | ResolveBlocker
  | EscalateBlocker;

export type BlockerEventType = BlockerEvent['type'];

export type BlockerEventOf<Type extends BlockerEventType> = Extract<BlockerEvent, { readonly type: Type }>;
