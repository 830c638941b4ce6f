/** What each accepted event writes into a semaphore's context. Steps compute; whether the event is accepted is decided before. */
import { othersOf, type SemaphoreContext } from './context.ts';
import type { SemaphoreEvent, SemaphoreEventOf, SemaphoreEventType } from './events.ts';

type Steps = {
  readonly [Type in SemaphoreEventType]: (
    semaphore: SemaphoreContext,
    event: SemaphoreEventOf<Type>,
  ) => Partial<SemaphoreContext>;
};

const steps: Steps = {
  ACQUIRE: (semaphore, event) => ({
    holders: [...othersOf(semaphore, event.holder), { task_id: event.holder, token: event.token }],
    limit: event.limit,
    created_at: semaphore.limit === null ? event.at : semaphore.created_at,
  }),
  RELEASE: (semaphore, event) => ({ holders: othersOf(semaphore, event.holder) }),
};

/** The fields that an accepted event changes. */
export function stepSemaphore(semaphore: SemaphoreContext, event: SemaphoreEvent): Partial<SemaphoreContext> {
  const step = steps[event.type] as (semaphore: SemaphoreContext, event: SemaphoreEvent) => Partial<SemaphoreContext>;
  return { ...step(semaphore, event), updated_at: event.at };
}
