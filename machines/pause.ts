/** An operator's pause, of one swarm or of the whole fabric. */

/** `pause` may return what is owned, as policy says; `drain` lets it be finished. Neither lets anything new be claimed. */
export const pauseModes = ['pause', 'drain'] as const;

export type PauseMode = (typeof pauseModes)[number];

export interface Pause {
  mode: PauseMode;
  /** Who asked for it. */
  by: string;
  reason: string | null;
  /** Milliseconds since 1970. */
  at: number;
}

/** What an event says of a pause. */
export interface PauseRequest {
  readonly at: number;
  /** Default: `pause`. */
  mode?: PauseMode;
  by: string;
  reason?: string | null;
}

export function pauseOf({ mode, by, reason, at }: PauseRequest): Pause {
  return { mode: mode ?? 'pause', by, reason: reason ?? null, at };
}
