/**
 * What is written for each transition of an actor: the one record format, kept in the bucket `<NS>_actors`, republished
 * as an event, and stored in the witness. Everything a decision depended on is inside `event`.
 */
import type { ActorRef } from './address.ts';

/** The data model of the wire and of records: I-JSON (RFC 7493). */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A state value as XState writes it: the name of a state, or one per region of a parallel state. */
export type StateValue = string | { [region: string]: StateValue };

/** The persisted form of an actor's snapshot. */
export interface Snapshot<Context = unknown, Value extends StateValue = StateValue> {
  readonly status: 'active' | 'done';
  readonly value: Value;
  readonly context: Context;
}

/** An event as it is recorded: `id` is unique per transition, `at` is milliseconds since 1970. */
export interface RecordedEvent {
  readonly id: string;
  readonly type: string;
  readonly [field: string]: unknown;
}

/** One transition of one actor. */
export interface ActorRecord {
  /** The version of the machine that made this transition. */
  readonly v: number;
  readonly kind: string;
  readonly id: string;
  /** Counts the actor's transitions, from 1. */
  readonly n: number;
  readonly event: RecordedEvent;
  /** Time of the decision, milliseconds since 1970, by the clock of the process that decided. */
  readonly at: number;
  /** Who caused it: a swarm id, `operator`, or a service as `IF.<name>`. */
  readonly by: string;
  readonly trace_id: string;
  readonly snapshot: Snapshot;
}

export function refOf(record: ActorRecord): ActorRef {
  return { kind: record.kind, id: record.id };
}

/** The state as one word for headers, tables and filters: regions joined by dots, in the order of the machine. */
export function stateName(value: StateValue): string {
  return typeof value === 'string' ? value : Object.values(value).map(stateName).join('.');
}
