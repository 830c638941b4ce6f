/** What a semaphore's record holds. Pure JSON: null stands for "none", times are milliseconds since 1970. */
export const semaphoreStates = ['absent', 'held', 'free'] as const;

export type SemaphoreState = (typeof semaphoreStates)[number];

/** One place that is taken. */
export interface Holder {
  /** The task that holds it. */
  task_id: string;
  /** The fencing token of the ownership that it is for; null where it lasts as long as the task. */
  token: number | null;
}

export interface SemaphoreContext {
  /** Who holds a place now, in the order in which they came. A list, since a task may have any id, `__proto__` too. */
  holders: Holder[];
  /** How many places there were for the last who came; each brings the limit that counts for it. */
  limit: number | null;
  created_at: number;
  updated_at: number;
}

export const absentSemaphore: SemaphoreContext = { holders: [], limit: null, created_at: 0, updated_at: 0 };

/** The places that others hold. */
export function othersOf(semaphore: SemaphoreContext, task_id: string): Holder[] {
  return semaphore.holders.filter((holder) => holder.task_id !== task_id);
}

/** The place that this task holds; undefined when it holds none. */
export function placeOf(semaphore: SemaphoreContext, task_id: string): Holder | undefined {
  return semaphore.holders.find((holder) => holder.task_id === task_id);
}
