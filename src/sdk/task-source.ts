/**
 * Where a worker gets its tasks from: `next` parks until a task was claimed. Today it lists what is available, follows the
 * events of tasks, and claims; all of that stays inside here, so that one parked request of the fabric can take its place.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Backoff, backoffMs } from '../backoff.ts';
import type { FabricClient } from '../bus/client.ts';
import { FabricError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import { KnownTasks } from './known-tasks.ts';
import type { ClaimAnswer, OwnedTask, Task } from './task.ts';
import { type TaskEvents, watchTasks } from './task-events.ts';

/** How a claim ended. `ms` is the time from the request to its answer. */
export type ClaimOutcome =
  | { readonly type: 'claimed'; readonly task_id: string; readonly token: number; readonly ms: number }
  | { readonly type: 'race_lost'; readonly task_id: string; readonly owner: string | null; readonly ms: number }
  | { readonly type: 'refused'; readonly task_id: string; readonly reason: string; readonly ms: number };

export interface TaskSourceOptions {
  readonly client: FabricClient;
  readonly namespace: Namespace;
  readonly taskTypes?: readonly string[] | undefined;
  readonly onClaim: (outcome: ClaimOutcome) => void;
}

/** Tasks that are listed at once; as many again are remembered from events. */
const page = 200;
/** How long to wait for an event before listing again: events may be lost. */
const betweenLists: Backoff = { first: 250, max: 5_000 };

export class TaskSource {
  readonly #options: TaskSourceOptions;
  readonly #known: KnownTasks;
  readonly #events: TaskEvents;
  /** Whether a list may say something new: at first, after a success, and after a pause. */
  #listable = true;
  /** Pauses since the last success. */
  #pauses = 0;
  #wake: () => void = () => {};

  constructor(options: TaskSourceOptions) {
    this.#options = options;
    this.#known = new KnownTasks(options.taskTypes, 2 * page);
    this.#events = watchTasks(options.client, options.namespace, (event) => {
      if (this.#known.apply(event)) this.#wake();
    });
  }

  /**
   * The next task, claimed for this swarm; undefined once the signal aborts. An error leaves the source usable.
   * @throws FabricError as `task.list` and `task.claim`
   */
  async next(signal: AbortSignal): Promise<OwnedTask | undefined> {
    await this.#events.ready;
    while (!signal.aborted) {
      const task_id = this.#known.take();
      if (task_id !== undefined) {
        const task = await this.#claim(task_id);
        if (task) return task;
      } else if (this.#listable) {
        await this.#list();
      } else {
        await this.#park(signal);
      }
    }
    return undefined;
  }

  close(): void {
    this.#events.close();
  }

  async #claim(task_id: string): Promise<OwnedTask | undefined> {
    const { client, onClaim } = this.#options;
    const begun = performance.now();
    const answer = await client.request<ClaimAnswer>('task', 'claim', { task_id }).catch(gone);
    const ms = performance.now() - begun;
    if (answer.claimed) {
      this.#listable = true;
      this.#pauses = 0;
      onClaim({ type: 'claimed', task_id, token: answer.token, ms });
      return { ...answer.task, token: answer.token };
    }
    const { reason, owner = null } = answer;
    if (reason === 'TASK_NOT_AVAILABLE') onClaim({ type: 'race_lost', task_id, owner, ms });
    else onClaim({ type: 'refused', task_id, reason, ms });
    if (reason === 'SWARM_OFFLINE') await client.request('swarm', 'heartbeat');
    return undefined;
  }

  async #list(): Promise<void> {
    this.#listable = false;
    let cursor: string | null = null;
    do {
      const body: Record<string, unknown> = { state: 'available', limit: page, ...(cursor === null ? {} : { cursor }) };
      const listed: { tasks: Task[]; cursor: string | null } = await this.#options.client.request('task', 'list', body);
      for (const task of listed.tasks) this.#known.add(task);
      cursor = listed.cursor;
      // A page may hold nothing but tasks of other types.
    } while (cursor !== null && this.#known.size === 0);
  }

  /** Until a task becomes available, the pause is over, or the signal aborts. */
  async #park(signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    this.#wake = () => over.abort();
    signal.addEventListener('abort', this.#wake, { once: true });
    await delay(backoffMs(betweenLists, this.#pauses++), undefined, { signal: over.signal }).catch(() => {});
    signal.removeEventListener('abort', this.#wake);
    this.#wake = () => {};
    // Woken by an event, there is something to claim; the list comes after the next pause.
    this.#listable = !over.signal.aborted;
  }
}

/** A task that is no longer kept was done by someone else. */
function gone(error: unknown): ClaimAnswer {
  if (error instanceof FabricError && error.code === 'TASK_NOT_FOUND')
    return { claimed: false, reason: 'TASK_NOT_AVAILABLE' };
  throw error;
}
