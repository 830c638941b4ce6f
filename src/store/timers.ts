/**
 * Durable deadlines. A timer is an absolute time and an id; when it is due, the handler gets it as an ordinary event,
 * at least once, which is checked against what is on record: a stale timer does nothing. Timers are set after the commit
 * that needs them; a sweep over the records finds those that were lost in between.
 */
import type { Json } from '../../machines/record.ts';

export interface Timer {
  /** What kind of deadline: a token of a subject, such as `task-due`. */
  readonly what: string;
  /** The id of the actor. One timer of a kind per actor; setting it again replaces it. */
  readonly id: string;
  /** When, milliseconds since 1970. A time in the past is due at once. */
  readonly at: number;
  /** What the handler needs to tell a stale timer from a present one. */
  readonly data?: Json;
}

/** A timer that has not fired. */
export interface PendingTimer {
  readonly at: number;
  readonly data?: Json;
  /** Changes whenever the timer is set; what `replace` and `cancel` compare. */
  readonly revision: number;
}

export interface Timers {
  /**
   * Sets a timer, whatever there was; answers with its revision.
   * @throws FabricError UNAVAILABLE (it may be set nevertheless); INVALID_REQUEST for a time after the year 9999
   */
  set(timer: Timer): Promise<number>;

  /** The timer that waits, linearizable; undefined when none does: it fired, was cancelled, or never set. @throws FabricError UNAVAILABLE */
  get(what: string, id: string): Promise<PendingTimer | undefined>;

  /**
   * Sets a timer if the one that waits has this revision, or if none waits where it is 0; answers with the new revision,
   * or with undefined when that is not so: it fired, or someone else set or cancelled it.
   *
   * What is set at the moment at which the timer before it fires can be lost with that one, though it was confirmed: the
   * servers take the due timer away by its subject. The handler then finds nothing waiting. A deadline that must not be
   * lost is kept in a record or in `Registers`, and the timer only reminds of it. @throws FabricError as `set`
   */
  replace(timer: Timer, expectedRevision: number): Promise<number | undefined>;

  /** Takes a timer back, of whatever revision or only of this one; it may be due at this moment. @throws FabricError UNAVAILABLE */
  cancel(what: string, id: string, onlyRevision?: number): Promise<void>;

  /**
   * Calls the handler with each due timer of these kinds, never early; again when it throws. Of several consumers of one
   * name, each due timer goes to one.
   */
  consume(handler: (timer: Timer) => Promise<void>, of?: TimerKinds): Promise<TimerConsumer>;
}

/** Whose timers are consumed. Default: all of them, under the name `timers`. */
export interface TimerKinds {
  /** Shared by all processes that do the same work, such as the name of a service. Letters, digits, `_` and `-`. */
  readonly name: string;
  /** `what` of the timers. A kind belongs to one name. */
  readonly kinds: readonly string[];
}

export interface TimerConsumer {
  /** Takes no more, and waits for handlers that run. */
  stop(): Promise<void>;
}

/** The end of the year 9999, beyond which the servers' notation of times does not reach; milliseconds since 1970. */
export const latestTime = 253_402_300_799_999;
