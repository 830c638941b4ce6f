/** What a blocker's record holds. Pure JSON: null stands for "none", times are milliseconds since 1970. */
export const blockerStates = ['absent', 'reported', 'helping', 'escalated', 'resolved'] as const;

export type BlockerState = (typeof blockerStates)[number];

/** The states in which a blocker still blocks. */
export const openBlockerStates = ['reported', 'helping', 'escalated'] as const satisfies readonly BlockerState[];

/** From least to most urgent. */
export const severities = ['low', 'medium', 'high', 'critical'] as const;

export type Severity = (typeof severities)[number];

/** What is said of a blocker when it is reported; it never changes. */
export interface BlockerContent {
  /** The task that it blocks; null when it blocks the swarm as such. */
  task_id: string | null;
  /** The fencing token of the ownership that is blocked; null without a task. */
  token: number | null;
  blocker_type: string;
  description: string;
  severity: Severity;
  /** What a helper needs; without duplicates. */
  required_capabilities: string[];
}

/** Why a swarm was asked for help: the factors by which it was chosen. */
export interface HelperFactors {
  match_score: number;
  /** null for a free swarm, which comes before every priced one. */
  combined_score: number | null;
  reputation: number;
  /** US dollars. */
  cost_per_hour: number;
}

/** A swarm that was asked for help, and what came of it. */
export interface Helper {
  swarm_id: string;
  /** `silent` where no answer came in time; it may still join. */
  answer: 'invited' | 'joined' | 'declined' | 'silent';
  /** When it was invited, gave the answer, or was taken for silent. */
  at: number;
  why: HelperFactors | null;
  /** Until when an answer is waited for; null: for any time. */
  answer_by: number | null;
  /** What it said when it declined. */
  reason: string | null;
}

export interface BlockerContext extends BlockerContent {
  reported_by: string;
  trace_id: string;
  /** In the order in which they were invited. */
  helpers: Helper[];
  resolution: string | null;
  resolved_by: string | null;
  escalation_reason: string | null;
  reported_at: number;
  /** When it was reported, or the last helper joined that had not declined before. */
  progress_at: number;
  escalated_at: number | null;
  resolved_at: number | null;
  updated_at: number;
}

export const absentBlocker: BlockerContext = {
  task_id: null,
  token: null,
  blocker_type: '',
  description: '',
  severity: 'low',
  required_capabilities: [],
  reported_by: '',
  trace_id: '',
  helpers: [],
  resolution: null,
  resolved_by: null,
  escalation_reason: null,
  reported_at: 0,
  progress_at: 0,
  escalated_at: null,
  resolved_at: null,
  updated_at: 0,
};

/** What became of the invitation of this swarm; undefined when it was not invited. */
export function helperOf(blocker: BlockerContext, swarm_id: string): Helper | undefined {
  return blocker.helpers.find((helper) => helper.swarm_id === swarm_id);
}

/** Those of the lapsed ones whose answer is still waited for. */
export function silenced(blocker: BlockerContext, { lapsed = [] }: { readonly lapsed?: readonly string[] }): Helper[] {
  return blocker.helpers.filter(({ swarm_id, answer }) => answer === 'invited' && lapsed.includes(swarm_id));
}

/** The swarms that help, in the order in which they were invited. */
export function joinedHelpers(blocker: BlockerContext): string[] {
  return blocker.helpers.filter(({ answer }) => answer === 'joined').map(({ swarm_id }) => swarm_id);
}
