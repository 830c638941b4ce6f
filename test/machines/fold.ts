/** Runs events through a machine by way of `decide`, as the store does, and keeps what came of each. */
import { type ActorMachine, decide, type MachineEvent, type Refusal } from '../../machines/machine.ts';
import type { Snapshot } from '../../machines/record.ts';

export interface Decision<Context, Event> {
  readonly before: Snapshot<Context>;
  readonly event: Event;
  readonly after: Snapshot<Context>;
  /** Undefined when the event was accepted. */
  readonly refusal: Refusal | undefined;
}

/** Every event in turn; refused ones change nothing. */
export function decisions<Context, Event extends MachineEvent>(
  machine: ActorMachine<Context, Event>,
  events: Iterable<Event>,
  from: Snapshot<Context> = machine.absent,
): Decision<Context, Event>[] {
  let before = from;
  return [...events].map((event) => {
    const verdict = decide(machine, before, event);
    const after = verdict.accepted ? verdict.snapshot : before;
    const decision = { before, event, after, refusal: verdict.accepted ? undefined : verdict.refusal };
    before = after;
    return decision;
  });
}

/** The snapshot after events that must all be accepted. */
export function fold<Context, Event extends MachineEvent>(
  machine: ActorMachine<Context, Event>,
  events: Iterable<Event>,
  from: Snapshot<Context> = machine.absent,
): Snapshot<Context> {
  let snapshot = from;
  for (const event of events) {
    const verdict = decide(machine, snapshot, event);
    if (!verdict.accepted) {
      throw new Error(`${event.type} is refused in ${JSON.stringify(snapshot.value)}: ${verdict.refusal.message}`);
    }
    snapshot = verdict.snapshot;
  }
  return snapshot;
}

/** Whether a value is exactly what JSON keeps of it: no undefined, NaN, infinity or negative zero lost on the way. */
export function isPlainJson(value: unknown): boolean {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (Array.isArray(value)) return value.every(isPlainJson);
  return typeof value === 'object' && Object.values(value).every(isPlainJson);
}
