/** The operations on a task that histories tell of: what was asked and what was answered, without what no rule asks for. */
import type { Operation } from './history.ts';

/** How a task is described in an answer. */
export interface Shown {
  readonly state: string;
  readonly owner: string | null;
}

/** What the caller learned when it was told no; nothing was changed. */
export interface Refused {
  readonly refused: string;
}

type TaskOperationOf<Name extends string, Input, Output> = Name extends string
  ? Operation<Input, Output | Refused> & { readonly op: Name }
  : never;

/** What a caller shows to prove that the task is its own. */
export interface Hold {
  readonly token: number;
}

export interface Creation {
  readonly lease_ms: number;
  readonly max_attempts: number;
  /** Whether the task may have to wait before it is available: for others, or for a time. */
  readonly may_wait: boolean;
  /** Whether a failed attempt is followed by a pause. */
  readonly backs_off: boolean;
}

export type ClaimOutput =
  | { readonly claimed: true; readonly token: number }
  | { readonly claimed: false; readonly reason: string; readonly owner: string | null };

export type TaskOperation =
  | TaskOperationOf<'create', Creation, Shown>
  | TaskOperationOf<'get', null, Shown>
  | TaskOperationOf<'claim', null, ClaimOutput>
  | TaskOperationOf<'start' | 'heartbeat' | 'release', Hold, Shown>
  /** `result` as one text. Without a token, the caller counts on owning the task. */
  | TaskOperationOf<'complete', { readonly token: number | null; readonly result: string }, Shown>
  | TaskOperationOf<'fail', Hold & { readonly retryable: boolean }, Shown>
  | TaskOperationOf<'cancel', null, Shown>
  /** Nobody asks for it: the fabric takes the task from an owner that it believes to be away. Never answered. */
  | TaskOperationOf<'lose', Hold, never>;
