/**
 * The one table of codes: what a request can be answered with, and why a machine says no.
 *
 * `effect` says what is known when the code is received: 'none' means that the request did not take effect, 'unknown'
 * leaves it open (ask, or repeat: operations are idempotent by content). `retryable` says whether the same request may
 * succeed later without being changed.
 */
export interface CodeMeaning {
  readonly meaning: string;
  readonly retryable: boolean;
  readonly effect: 'none' | 'unknown';
}

const table = {
  INVALID_REQUEST: {
    meaning: 'the request is malformed or names something that does not exist',
    retryable: false,
    effect: 'none',
  },
  UNAUTHORIZED: { meaning: 'the caller may not do this', retryable: false, effect: 'none' },
  TASK_NOT_FOUND: { meaning: 'no such task', retryable: false, effect: 'none' },
  TASK_EXISTS: { meaning: 'a task of this id exists with other content', retryable: false, effect: 'none' },
  TASK_NOT_AVAILABLE: { meaning: 'the state of the task does not allow this', retryable: true, effect: 'none' },
  NOT_OWNER: { meaning: 'the task is owned by someone else, or by no one', retryable: false, effect: 'none' },
  STALE_TOKEN: { meaning: 'the token is of an ownership that has ended', retryable: false, effect: 'none' },
  SWARM_NOT_FOUND: { meaning: 'no such swarm is registered', retryable: false, effect: 'none' },
  SWARM_OFFLINE: { meaning: 'the swarm is offline', retryable: true, effect: 'none' },
  CIRCUIT_OPEN: { meaning: 'the circuit of the swarm is open', retryable: true, effect: 'none' },
  BUDGET_EXHAUSTED: { meaning: 'the budget does not cover this', retryable: false, effect: 'none' },
  CAPABILITY_MISSING: { meaning: 'a capability or privilege is missing', retryable: false, effect: 'none' },
  CAPACITY_EXCEEDED: { meaning: 'the swarm owns as many tasks as it may', retryable: true, effect: 'none' },
  POLICY_VIOLATION: { meaning: 'policy forbids this', retryable: false, effect: 'none' },
  TARGET_NOT_FOUND: { meaning: 'no such target', retryable: false, effect: 'none' },
  TIMEOUT: { meaning: 'no answer within the time limit', retryable: true, effect: 'unknown' },
  PAYLOAD_TOO_LARGE: {
    meaning: 'the request or its record is larger than the limit',
    retryable: false,
    effect: 'none',
  },
  CONFLICT: {
    meaning: 'the same id was used with other content, or contention did not end',
    retryable: false,
    effect: 'none',
  },
  RATE_LIMITED: { meaning: 'a limit of requests or of the log is reached', retryable: true, effect: 'none' },
  UNAVAILABLE: { meaning: 'the fabric cannot answer now', retryable: true, effect: 'unknown' },
  INTERNAL: { meaning: 'a fault of the fabric', retryable: true, effect: 'unknown' },
} as const satisfies Record<string, CodeMeaning>;

export type Code = keyof typeof table;

export const codes: Readonly<Record<Code, CodeMeaning>> = table;

/** Whether a string, such as the `code` of a reply from the wire, is one of ours. */
export function isCode(text: string): text is Code {
  return Object.hasOwn(table, text);
}
