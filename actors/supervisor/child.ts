/** What a supervisor runs: a service in a process of its own, or in this one. */

export interface Child {
  /** The process in which the service runs. */
  readonly pid: number;
  /** Resolves when the service answers; rejects when it ended before that. */
  readonly ready: Promise<void>;
  /** Resolves with the reason when the service has ended, for whatever reason. */
  readonly ended: Promise<string>;
  /**
   * Lets the service finish what it took on; ends it by force after a while, or after `graceMs` milliseconds. Resolves
   * when it has ended.
   */
  stop(graceMs?: number): Promise<void>;
}

export type StartChild = () => Child;
