/**
 * Durable deadlines. A timer is an absolute time and an id; when it is due, the handler gets it as an ordinary event,
 * at least once, which the actor's machine checks against its record: a stale timer does nothing. Timers are set after
 * the commit that needs them; a sweep over the records finds those that were lost in between.
 */
export interface Timer {
  /** What kind of deadline: a token of a subject, such as `task-due`. */
  readonly what: string;
  /** The id of the actor. One timer of a kind per actor; setting it again replaces it. */
  readonly id: string;
  /** When, milliseconds since 1970. A time in the past is due at once. */
  readonly at: number;
}

export interface Timers {
  /** @throws FabricError UNAVAILABLE; INVALID_REQUEST for a time after the year 9999 */
  set(timer: Timer): Promise<void>;
  /**
   * Calls the handler with each due timer, never early; again when it throws. Among several consumers of one fabric,
   * each due timer goes to one.
   */
  consume(handler: (timer: Timer) => Promise<void>): Promise<TimerConsumer>;
}

export interface TimerConsumer {
  /** Takes no more, and waits for handlers that run. */
  stop(): Promise<void>;
}

/** The end of the year 9999, beyond which the servers' notation of times does not reach; milliseconds since 1970. */
export const latestTime = 253_402_300_799_999;
