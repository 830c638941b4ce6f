/**
 * One task in hand, from its start to its end: completed, failed, released, or lost to someone else. Its lease is kept
 * meanwhile, and the work is told before it is lost. The fabric is told how it ended until it answers; its fencing token
 * sees to it that nothing counts once the task is no longer ours.
 */
import type { Json } from '../../machines/record.ts';
import { ownedStates } from '../../machines/task/context.ts';
import { type Backoff, backOff } from '../backoff.ts';
import type { FabricClient } from '../bus/client.ts';
import { FabricError } from '../errors.ts';
import { Lease } from './lease.ts';
import { orAborted } from './or-aborted.ts';
import type { OwnedTask } from './task.ts';
import { type TaskEvent, watchTasks } from './task-events.ts';
import type { TakenTask } from './task-source.ts';
import { isPassing, type Trouble, troubleOf } from './trouble.ts';

/** Does a task; what it returns is the task's result. See `WorkerOptions`. */
export type Work = (task: OwnedTask, context: { readonly signal: AbortSignal }) => Promise<Json>;

/** `ms` is how long the work took. */
export type AttemptEvent =
  /** The work was told to stop, for its lease could not be renewed in time. */
  | { readonly type: 'endangered'; readonly task_id: string; readonly message: string }
  | { readonly type: 'completed'; readonly task_id: string; readonly ms: number }
  | { readonly type: 'failed'; readonly task_id: string; readonly message: string; readonly ms: number }
  /** The task was no longer ours; its result did not count. */
  | { readonly type: 'lost'; readonly task_id: string; readonly code: string }
  | { readonly type: 'released'; readonly task_id: string };

export interface AttemptOptions {
  readonly client: FabricClient;
  readonly taken: TakenTask;
  readonly work: Work;
  /** Once it aborts, the work has `drainMs` milliseconds left. */
  readonly drain: AbortSignal;
  readonly drainMs: number;
  readonly onEvent: (event: AttemptEvent | Trouble) => void;
}

const betweenTries: Backoff = { first: 100, max: 2_000 };
/** How long one try may take, milliseconds; the last one, when the attempt is over, less. */
const patienceMs = 5_000;
const lastTryMs = 2_000;
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
  readonly #task: OwnedTask;
  /** The signal of the work: its result is not wanted any more, or soon will not count. */
  readonly #unwanted = new AbortController();
  /** Aborted when the work is not waited for any longer. */
  readonly #over = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #lease: Lease | undefined;
  #lost: FabricError | undefined;

  constructor(options: AttemptOptions) {
    this.#options = options;
    this.#task = options.taken.task;
  }

  /** @throws FabricError what the fabric refuses for other reasons than a lost ownership, or does not answer in the end */
  async run(): Promise<void> {
    const stopWatching = this.#watch();
    try {
      await this.#start();
      await this.#perform();
    } catch (error) {
      if (!(error instanceof FabricError && ownershipLost.has(error.code))) throw error;
      this.#options.onEvent({ type: 'lost', task_id: this.#task.task_id, code: error.code });
    } finally {
      stopWatching();
      this.#lease?.stop();
      clearTimeout(this.#timer);
    }
  }

  /** Resolves when the task is started, with enough of its lease ahead; also when the attempt is over before that. */
  async #start(): Promise<void> {
    const { client, taken, onEvent } = this.#options;
    const { task_id, token } = this.#task;
    const sentAt = performance.now();
    await this.#tell('start', {});
    const options = {
      client,
      task_id,
      token,
      leaseMs: taken.leaseMs,
      onEndangered: (reason: FabricError) => this.#endanger(reason),
      onLost: (reason: FabricError) => this.#lose(reason),
      onTrouble: (error: FabricError) => onEvent(troubleOf(error)),
    };
    // What was started before has the lease of that time.
    this.#lease = new Lease(options, taken.recovered ? undefined : sentAt);
    await orAborted(this.#lease.secured, this.#over.signal).catch(() => {});
  }

  async #perform(): Promise<void> {
    const { work, onEvent } = this.#options;
    const { task_id } = this.#task;
    const begun = performance.now();
    let result: Json;
    try {
      this.#over.signal.throwIfAborted();
      // Work that does not heed its signal is left to itself.
      result = await orAborted(work(this.#task, { signal: this.#unwanted.signal }), this.#over.signal);
    } catch (error) {
      if (this.#lost) throw this.#lost;
      if (!this.#unwanted.signal.aborted) return await this.#fail(error, begun);
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
    this.#options.onEvent({ type: 'failed', task_id: this.#task.task_id, message, ms });
  }

  /**
   * Repeats what the fabric does not answer, which is safe, until the attempt is over, and once after that: what was
   * not answered may have taken effect.
   */
  async #tell(op: string, body: Readonly<Record<string, unknown>>): Promise<void> {
    const { client, onEvent } = this.#options;
    const { task_id, token } = this.#task;
    const { signal } = this.#over;
    for (let attempt = 0; ; attempt++) {
      const isLast = signal.aborted;
      try {
        const timeoutMs = isLast ? lastTryMs : patienceMs;
        await client.request('task', op, { task_id, token, ...body }, { timeoutMs });
        return;
      } catch (error) {
        if (isLast && isPassing(error) && this.#lost) throw this.#lost;
        if (client.connection.isClosed() || isLast || !(await this.#mayBeRepeated(error))) throw error;
        onEvent(troubleOf(error as FabricError));
      }
      await backOff(betweenTries, attempt, signal).catch(() => {});
    }
  }

  /** A task whose blocker is not resolved yet can be completed later. */
  async #mayBeRepeated(error: unknown): Promise<boolean> {
    if (isPassing(error)) return true;
    if (!(error instanceof FabricError && error.code === 'TASK_NOT_AVAILABLE')) return false;
    return (await this.#lease?.isBlocked()) ?? false;
  }

  /** The lease may soon be over: the work is to stop; if it has its result all the same, that is offered. */
  #endanger(reason: FabricError): void {
    this.#options.onEvent({ type: 'endangered', task_id: this.#task.task_id, message: reason.message });
    this.#unwanted.abort(reason);
    this.#endAfterGrace();
  }

  #lose(reason: FabricError): void {
    this.#lost = reason;
    this.#end(reason);
  }

  #end(reason: FabricError): void {
    this.#unwanted.abort(reason);
    this.#over.abort(reason);
  }

  #endAfterGrace(): void {
    const { drainMs } = this.#options;
    const reason = new FabricError('TIMEOUT', `the work was told to stop and did not within ${drainMs} ms`);
    this.#timer ??= setTimeout(() => this.#end(reason), drainMs);
  }

  /** Follows the task and the drain until the function that is returned is called. */
  #watch(): () => void {
    const { client, drain } = this.#options;
    const { task_id, revision: since } = this.#task;
    const onEvent = ({ revision, owner, state, event }: TaskEvent) => {
      // Events of the time before the claim may still be under way.
      if (revision <= since || (owner === client.callerId && owned.has(state))) return;
      this.#end(
        new FabricError('STALE_TOKEN', `${task_id} is ${state} after ${event}, and not this worker’s any more`),
      );
    };
    const events = watchTasks(client, client.namespace, onEvent, task_id);
    const onDrain = () => this.#endAfterGrace();
    if (drain.aborted) onDrain();
    else drain.addEventListener('abort', onDrain, { once: true });
    return () => {
      events.close();
      drain.removeEventListener('abort', onDrain);
    };
  }
}

/** Well-formed and short enough for a record. */
function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return Buffer.from(text.slice(0, longestMessage), 'utf8').toString('utf8');
}
