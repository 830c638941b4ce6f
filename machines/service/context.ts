/** What the record of a supervised service holds. Pure JSON; times are milliseconds since 1970. */
export const serviceStates = ['absent', 'starting', 'running', 'backing_off', 'stopping', 'stopped', 'failed'] as const;

export type ServiceState = (typeof serviceStates)[number];

/** How often a service may be restarted, and how long it waits before. */
export interface RestartPolicy {
  /** More restarts than this within the window end in `failed`. */
  max_restarts: number;
  window_ms: number;
  /** The wait doubles with each restart of the window, from the least to the most. */
  backoff_min_ms: number;
  backoff_max_ms: number;
}

export const defaultRestartPolicy: RestartPolicy = {
  max_restarts: 5,
  window_ms: 60_000,
  backoff_min_ms: 100,
  backoff_max_ms: 10_000,
};

export interface ServiceContext {
  /** The process it runs in. */
  pid: number | null;
  host: string | null;
  version: string | null;
  policy: RestartPolicy;
  /** Since the last START. */
  restarts: number;
  /** The restarts that count: those of the last window. */
  restarts_at: number[];
  /** The present wait; 0 when it does not wait. */
  backoff_ms: number;
  /** When the wait is over. */
  retry_at: number | null;
  last_error: string | null;
  started_at: number | null;
  ready_at: number | null;
  /** When it was asked to stop; an end after that is no failure. */
  stopping_at: number | null;
  /** When it stopped, or failed for good. */
  ended_at: number | null;
  updated_at: number;
}

export const absentService: ServiceContext = {
  pid: null,
  host: null,
  version: null,
  policy: defaultRestartPolicy,
  restarts: 0,
  restarts_at: [],
  backoff_ms: 0,
  retry_at: null,
  last_error: null,
  started_at: null,
  ready_at: null,
  stopping_at: null,
  ended_at: null,
  updated_at: 0,
};
