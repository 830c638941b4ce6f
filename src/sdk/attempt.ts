/**
 * One claimed task, from its start to its end: completed, failed, released, or lost to someone else. The fabric is told
 * until it answers; its fencing token sees to it that nothing counts once the task is no longer ours.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Json } from '../../machines/record.ts';
import { ownedStates } from '../../machines/task/context.ts';
import { type Backoff, backOff } from '../backoff.ts';
import type { FabricClient } from '../bus/client.ts';
import { FabricError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import { orAborted } from './or-aborted.ts';
import type { OwnedTask } from './task.ts';
import { type TaskEvent, watchTasks } from './task-events.ts';
import { isPassing, type Trouble, troubleOf } from './trouble.ts';

/** Does a task; what it returns is the task's result. See `WorkerOptions`. */
export type Work = (task: OwnedTask, context: { readonly signal: AbortSignal }) => Promise<Json>;

/** `ms` is how long the work took. */
export type AttemptOutcome =
  | { readonly type: 'completed'; readonly task_id: string; readonly ms: number }
  | { readonly type: 'failed'; readonly task_id: string; readonly message: string; readonly ms: number }
  /** The task was no longer ours; its result did not count. */
  | { readonly type: 'lost'; readonly task_id: string; readonly code: string }
  | { readonly type: 'released'; readonly task_id: string };

export interface AttemptOptions {
  readonly client: FabricClient;
  readonly namespace: Namespace;
  readonly task: OwnedTask;
  readonly work: Work;
  /** Once it aborts, the work has `drainMs` milliseconds left. */
  readonly drain: AbortSignal;
  readonly drainMs: number;
  readonly onEvent: (event: AttemptOutcome | Trouble) => void;
}

const betweenTries: Backoff = { first: 100, max: 5_000 };
/** Refusals that say: the task is not this swarm's any more. */
const ownershipLost: ReadonlySet<string> = new Set([
  'NOT_OWNER',
  'STALE_TOKEN',
  'TASK_NOT_AVAILABLE',
  'TASK_NOT_FOUND',
]);
/** A cancelled task keeps its last owner, so the owner alone does not tell. */
const owned: ReadonlySet<string> = new Set(ownedStates);
/** Characters of an error message that are kept. */
const longestMessage = 2_000;

export class Attempt {
  readonly #options: AttemptOptions;
  /** Aborted when the work is no longer wanted: the task is someone else's, or the time to drain is over. */
  readonly #unwanted = new AbortController();

  constructor(options: AttemptOptions) {
    this.#options = options;
  }

  /** @throws FabricError what the fabric refuses for other reasons than a lost ownership */
  async run(): Promise<void> {
    const { task, onEvent } = this.#options;
    const stopWatching = this.#watch();
    try {
      await this.#tell('start', {});
      await this.#perform();
    } catch (error) {
      if (!(error instanceof FabricError && ownershipLost.has(error.code))) throw error;
      onEvent({ type: 'lost', task_id: task.task_id, code: error.code });
    } finally {
      stopWatching();
    }
  }

  async #perform(): Promise<void> {
    const { task, work, onEvent } = this.#options;
    const { task_id } = task;
    const { signal } = this.#unwanted;
    const begun = performance.now();
    let result: Json;
    try {
      // Work that does not heed its signal is left to itself.
      result = await orAborted(work(task, { signal }), signal);
    } catch (error) {
      if (!signal.aborted) return await this.#fail(error, begun);
      await this.#tell('release', {});
      onEvent({ type: 'released', task_id });
      return;
    }
    const ms = performance.now() - begun;
    try {
      await this.#tell('complete', { result: result ?? null });
    } catch (error) {
      // A result that no record can hold fails the task; it would be the same next time.
      if (!(error instanceof FabricError && (error.code === 'PAYLOAD_TOO_LARGE' || error.code === 'INVALID_REQUEST')))
        throw error;
      return await this.#fail(error, begun);
    }
    onEvent({ type: 'completed', task_id, ms });
  }

  async #fail(error: unknown, begun: number): Promise<void> {
    const ms = performance.now() - begun;
    const message = messageOf(error);
    const retryable = !(error instanceof FabricError) || error.retryable;
    await this.#tell('fail', { error: { message }, retryable });
    this.#options.onEvent({ type: 'failed', task_id: this.#options.task.task_id, message, ms });
  }

  /** Repeats what the fabric does not answer, which is safe, until the work is unwanted. */
  async #tell(op: string, body: Readonly<Record<string, unknown>>): Promise<void> {
    const { client, task, onEvent } = this.#options;
    for (let attempt = 0; ; attempt++) {
      try {
        await client.request('task', op, { task_id: task.task_id, token: task.token, ...body });
        return;
      } catch (error) {
        if (!isPassing(error) || client.connection.isClosed() || this.#unwanted.signal.aborted) throw error;
        onEvent(troubleOf(error));
      }
      await backOff(betweenTries, attempt, this.#unwanted.signal).catch(() => {});
    }
  }

  #watch(): () => void {
    const { client, namespace, task, drain, drainMs } = this.#options;
    const onEvent = ({ revision, owner, state }: TaskEvent) => {
      // Events of the time before the claim may still be under way.
      if (revision <= task.revision) return;
      if (owner !== client.callerId || !owned.has(state)) this.#unwanted.abort();
    };
    const events = watchTasks(client, namespace, onEvent, task.task_id);
    const over = new AbortController();
    const onDrain = () => {
      delay(drainMs, undefined, { signal: over.signal }).then(
        () => this.#unwanted.abort(),
        () => {},
      );
    };
    if (drain.aborted) onDrain();
    else drain.addEventListener('abort', onDrain, { once: true });
    return () => {
      events.close();
      over.abort();
      drain.removeEventListener('abort', onDrain);
    };
  }
}

/** Well-formed and short enough for a record. */
function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return Buffer.from(text.slice(0, longestMessage), 'utf8').toString('utf8');
}
