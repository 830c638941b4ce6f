/** What can happen to a semaphore. */
import type { MachineEvent } from '../machine.ts';

/** A task takes a place. One that holds a place keeps it under a greater token. */
export interface AcquirePlace extends MachineEvent {
  readonly type: 'ACQUIRE';
  /** The id of the task. */
  holder: string;
  /** Of the ownership that the place is for; null where it lasts as long as the task. */
  token: number | null;
  /** How many may hold a place at once, the one that asks included; the task's own, so that tasks may differ. */
  limit: number;
}

export interface ReleasePlace extends MachineEvent {
  readonly type: 'RELEASE';
  holder: string;
}

export type SemaphoreEvent = AcquirePlace | ReleasePlace;

export type SemaphoreEventType = SemaphoreEvent['type'];

export type SemaphoreEventOf<Type extends SemaphoreEventType> = Extract<SemaphoreEvent, { readonly type: Type }>;
