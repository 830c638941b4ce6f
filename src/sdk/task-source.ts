/**
 * Where a worker gets its tasks from: one request that waits at the fabric until there is a task. An answer that is lost
 * may have handed out a task, and so may requests of a process that is gone; the fabric is asked for such tasks, so that
 * none lies idle until its lease is over.
 */
import type { FabricClient } from '../bus/client.ts';
import { FabricError } from '../errors.ts';
import { orAborted } from './or-aborted.ts';
import type { ClaimAnswer, DependencyResults, NextAnswer, OwnedTask, Task } from './task.ts';
import { isPassing } from './trouble.ts';

export interface TaskSourceOptions {
  readonly client: FabricClient;
  readonly taskTypes?: readonly string[] | undefined;
  /** How long a request may wait at the fabric, milliseconds. */
  readonly parkMs: number;
  /** Whether a task is being worked on. */
  readonly isInHand: (task_id: string) => boolean;
}

export interface TakenTask {
  readonly task: OwnedTask;
  /** How long the lease is, milliseconds. */
  readonly leaseMs: number;
  /** Whether it was this swarm's before, from another process or a lost answer. */
  readonly recovered: boolean;
  /** From asking to having it, milliseconds: most of it may be waiting for a task. */
  readonly waited_ms: number;
}

/** How much longer than the request waits its answer may take. One that comes later is found, see `doubt`. */
const slackMs = 3_000;
/** As many as a page holds. */
const pageLimit = 1_000;
/** The shortest lease that there is. */
const shortestLeaseMs = 1_000;

export class TaskSource {
  readonly #options: TaskSourceOptions;
  /** When to look for tasks that are this swarm's without its knowing, by `performance.now()`; and whether again later. */
  #lookAt = 0;
  #lookAgain = false;
  /** Ids of such tasks. */
  #found: string[] = [];

  constructor(options: TaskSourceOptions) {
    this.#options = options;
  }

  /** A task may be this swarm's without its knowing. */
  doubt(): void {
    this.#lookAt = 0;
    this.#lookAgain = true;
  }

  /**
   * The next task; undefined when none came in the time that a request waits, or `stop` aborts.
   * @throws FabricError as `task.next`, `task.list` and `task.claim`; the source stays usable
   */
  async next(stop: AbortSignal): Promise<TakenTask | undefined> {
    if (this.#lookAt <= performance.now()) await orAborted(this.#look(), stop);
    for (let task_id = this.#found.shift(); task_id !== undefined; task_id = this.#found.shift()) {
      const taken = await this.#takeUp(task_id);
      if (taken || stop.aborted) return taken;
    }
    return stop.aborted ? undefined : await this.#park(stop);
  }

  async #look(): Promise<void> {
    this.#found = await this.#owned();
    // A request that was given up may still wait at the fabric, which answers it with a task as long as it does.
    const again = performance.now() + this.#options.parkMs + slackMs;
    this.#lookAt = this.#lookAgain ? again : Number.POSITIVE_INFINITY;
    this.#lookAgain = false;
  }

  /** Ids of the tasks of this swarm that nobody here works on. */
  async #owned(): Promise<string[]> {
    const { client, taskTypes, isInHand } = this.#options;
    const ids: string[] = [];
    for (const state of ['claimed', 'in_progress']) {
      let cursor: string | null = null;
      do {
        const after: { cursor?: string } = cursor === null ? {} : { cursor };
        const page: { tasks: Task[]; cursor: string | null } = await client.request('task', 'list', {
          owner: client.callerId,
          state,
          limit: pageLimit,
          ...after,
        });
        for (const { task_id, task_type } of page.tasks)
          if (!isInHand(task_id) && (taskTypes?.includes(task_type) ?? true)) ids.push(task_id);
        cursor = page.cursor;
      } while (cursor !== null);
    }
    return ids;
  }

  /** A claim by the present owner gives it the same token. */
  async #takeUp(task_id: string): Promise<TakenTask | undefined> {
    const begun = performance.now();
    const answer = await this.#options.client
      .request<ClaimAnswer>('task', 'claim', { task_id })
      .catch((error: unknown) => {
        // It must not be forgotten.
        if (isPassing(error)) this.doubt();
        if (error instanceof FabricError && error.code === 'TASK_NOT_FOUND') return undefined;
        throw error;
      });
    return answer?.claimed ? takenTask(answer, true, begun) : undefined;
  }

  async #park(stop: AbortSignal): Promise<TakenTask | undefined> {
    const { client, taskTypes, parkMs } = this.#options;
    const begun = performance.now();
    const body = { wait_ms: parkMs, ...(taskTypes ? { task_types: taskTypes } : {}) };
    const asked = client.request<NextAnswer>('task', 'next', body, { timeoutMs: parkMs + slackMs });
    const answer = await this.#untilTooLate(asked, begun, stop).catch((error: unknown) => {
      if (isPassing(error)) this.doubt();
      throw error;
    });
    if (!answer?.task) return undefined;
    if (!stop.aborted) return takenTask(answer, false, begun);
    await this.#handBack(answer.task.task_id, answer.token);
    return undefined;
  }

  /** Whoever is told to stop waits for the answer all the same, for as long as the request may wait at the fabric. */
  async #untilTooLate(asked: Promise<NextAnswer>, begun: number, stop: AbortSignal): Promise<NextAnswer | undefined> {
    const given = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const giveUp = () => {
      const left = begun + this.#options.parkMs + 500 - performance.now();
      timer = setTimeout(() => given.abort(), Math.max(0, left));
    };
    stop.addEventListener('abort', giveUp, { once: true });
    try {
      return await orAborted(asked, given.signal);
    } catch (error) {
      if (stop.aborted) return undefined;
      throw error;
    } finally {
      stop.removeEventListener('abort', giveUp);
      clearTimeout(timer);
    }
  }

  async #handBack(task_id: string, token: number): Promise<void> {
    // What cannot be given back now goes back when its lease is over.
    await this.#options.client.request('task', 'release', { task_id, token }, { timeoutMs: 2_000 }).catch(() => {});
  }
}

function takenTask(
  answer: { readonly task: Task; readonly token: number; readonly dependency_results?: DependencyResults },
  recovered: boolean,
  begun: number,
): TakenTask {
  const { task, token, dependency_results = {} } = answer;
  const waited_ms = performance.now() - begun;
  return { task: { ...task, token, dependency_results }, leaseMs: leaseOf(task), recovered, waited_ms };
}

/** Where it is not said: a claim begins a lease; of one that was renewed, only the shortest that there is is certain. */
function leaseOf({ state, lease_ms, lease_expires_at, claimed_at }: Task): number {
  if (lease_ms !== undefined) return lease_ms;
  if (state !== 'claimed' || lease_expires_at === null || claimed_at === null) return shortestLeaseMs;
  return Math.max(shortestLeaseMs, lease_expires_at - claimed_at);
}
