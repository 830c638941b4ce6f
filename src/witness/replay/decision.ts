/** One recorded event, decided again by its machine, and how that differs from what is recorded. */
import { type ActorMachine, decide, type MachineEvent } from '../../../machines/machine.ts';
import { type ActorRecord, type Snapshot, stateName } from '../../../machines/record.ts';
import { changesBetween, shortValue } from './changes.ts';

/** The snapshot that the machine leads to, or why it does not take the event. */
export interface Outcome {
  readonly snapshot?: Snapshot;
  readonly refusal?: string;
}

/** Never throws, whatever the snapshot and the event are. */
export function decideAgain(machine: ActorMachine, from: Snapshot, { event: { id, ...event } }: ActorRecord): Outcome {
  const state = stateName(from.value);
  try {
    const verdict = decide(machine as unknown as ActorMachine<unknown, MachineEvent>, from, offered(event));
    if (verdict.accepted) return { snapshot: verdict.snapshot };
    const { code, message } = verdict.refusal;
    return { refusal: `the machine refuses ${event['type']} in state ${state}: ${message} (${code})` };
  } catch (error) {
    // Snapshots and events that no machine ever made can be of any form.
    return { refusal: `the machine cannot take ${event['type']} in state ${state}: ${String(error)}` };
  }
}

/** The event as it was offered, before the store gave it an id. */
function offered(event: object): MachineEvent {
  return event as MachineEvent;
}

/** How the outcome differs from what is recorded; undefined when it does not. */
export function difference(outcome: Outcome, recorded: Snapshot): string | undefined {
  if (outcome.refusal !== undefined || !outcome.snapshot) return outcome.refusal;
  const changes = changesBetween(recorded, outcome.snapshot);
  const [first] = changes;
  if (!first) return undefined;
  const more = changes.length === 1 ? '' : `, and ${changes.length - 1} more differ`;
  return `${first.field} is ${shortValue(first.from)} and replays as ${shortValue(first.to)}${more}`;
}
