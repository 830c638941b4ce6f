/**
 * Writes the steps of supervised services into the log, in order, as soon as the log takes them. Bounded: when the log is
 * away for long, the oldest steps are dropped, and said so; the present state follows with the next step.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Code } from '../../machines/codes.ts';
import { serviceMachine } from '../../machines/service/machine.ts';
import { type Backoff, backoffMs } from '../../src/backoff.ts';
import { FabricError } from '../../src/errors.ts';
import type { Log } from '../../src/log.ts';
import type { ActorStore } from '../../src/store/actor-store.ts';
import { newId } from '../../src/store/unique-id.ts';
import type { ServiceStep } from './supervisor.ts';

const mostPending = 1_000;
/** Codes that pass: the step is offered again. */
const passing: ReadonlySet<Code> = new Set(['UNAVAILABLE', 'RATE_LIMITED', 'TIMEOUT']);
const betweenTries: Backoff = { first: 50, max: 1_000 };
/** How long the log may be away before a step is dropped, milliseconds. */
const longestWaitMs = 60_000;

export class ServiceRecorder {
  readonly #log: Log;
  readonly #pending: Array<{ id: string; event: ServiceStep }> = [];
  readonly #trace = newId();
  #store: ActorStore | undefined;
  #writing: Promise<void> | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Begins to write; what came before is written first. */
  writeTo(store: ActorStore): void {
    this.#store = store;
    this.#write();
  }

  /** Keeps what comes until `writeTo`: the log is not to be written to. */
  pause(): void {
    this.#store = undefined;
  }

  record(id: string, event: ServiceStep): void {
    if (this.#pending.length >= mostPending) {
      this.#log.warn({ dropped: this.#pending.shift() }, 'the log takes no steps of services; the oldest was dropped');
    }
    this.#pending.push({ id, event });
    this.#write();
  }

  /** Resolves when everything so far is written or could not be, or after `timeoutMs`. */
  async settled(timeoutMs: number): Promise<void> {
    const until = Date.now() + timeoutMs;
    while (this.#writing && Date.now() < until) {
      await Promise.race([this.#writing, delay(until - Date.now(), undefined, { ref: false })]);
    }
  }

  #write(): void {
    if (!this.#store || this.#writing) return;
    this.#writing = this.#drain().finally(() => {
      this.#writing = undefined;
      if (this.#pending.length > 0) this.#write();
    });
  }

  async #drain(): Promise<void> {
    for (let next = this.#pending[0]; next && this.#store; next = this.#pending[0]) {
      const { id, event } = next;
      const isOver = await this.#persist(id, event).catch((error: unknown) => {
        this.#log.warn({ err: error, service: id, event: event.type }, 'a step of a service was not recorded');
        return true;
      });
      if (isOver && this.#pending[0] === next) this.#pending.shift();
    }
  }

  /**
   * Offers the step until the log takes it; what took effect unseen is refused when it comes again. False when it is kept
   * for a log that comes later.
   */
  async #persist(id: string, event: ServiceStep): Promise<boolean> {
    const until = Date.now() + longestWaitMs;
    for (let attempt = 0; ; attempt++) {
      const store = this.#store;
      if (!store) return false;
      try {
        await store.dispatch(serviceMachine, id, event, { by: 'IF.supervisor', trace_id: this.#trace });
        return true;
      } catch (error) {
        if (!this.#store) return false;
        if (!(error instanceof FabricError && passing.has(error.code)) || Date.now() >= until) throw error;
      }
      await delay(backoffMs(betweenTries, attempt), undefined, { ref: false });
    }
  }
}
