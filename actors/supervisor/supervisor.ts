/**
 * The supervisor: each service is an XState actor that decides when it is started, how long it waits after a crash, and
 * when it is given up (`machines/service`). One service's end touches no other. Every step is recorded in the log, as
 * soon as the log takes it; supervision itself does not wait for the log.
 */
import { hostname } from 'node:os';
import { type Actor, type AnyStateMachine, createActor, type SnapshotFrom } from 'xstate';
import type { RestartPolicy, ServiceContext, ServiceState } from '../../machines/service/context.ts';
import { serviceMachine } from '../../machines/service/machine.ts';
import { FabricError } from '../../src/errors.ts';
import type { Log } from '../../src/log.ts';
import type { Child, StartChild } from './child.ts';

export interface SupervisorOptions {
  readonly version: string;
  readonly log: Log;
  /** Takes note of a step of a service; must not throw. */
  readonly record: (id: string, event: ServiceStep) => void;
  /** Resolves when the steps so far are in the log, as far as they can be; a stop waits for it. */
  readonly recorded?: () => Promise<void>;
  /** A service was given up: it ended more often than its policy allows. */
  readonly onEscalation: (id: string, reason: string) => void;
  readonly policy?: RestartPolicy;
}

export interface ServiceStep {
  readonly type: string;
  readonly [field: string]: unknown;
}

export interface ServiceStatus {
  readonly id: string;
  readonly state: ServiceState;
  readonly pid: number | null;
  readonly restarts: number;
  readonly last_error: string | null;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #services = new Map<string, Supervised>();

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** Starts a service and resolves when it runs for the first time; rejects when it is given up before that. */
  async supervise(id: string, start: StartChild): Promise<void> {
    const service = new Supervised(id, start, this.#options);
    this.#services.set(id, service);
    await service.start();
  }

  status(): ServiceStatus[] {
    return [...this.#services.values()].map((service) => service.status());
  }

  /** Restarts the services whose id is `name`, or begins with `<name>-`, or all; answers with their ids once they run. */
  async restart(name: string): Promise<string[]> {
    const chosen = [...this.#services.values()].filter(
      ({ id }) => name === 'all' || id === name || id.startsWith(`${name}-`),
    );
    for (const service of chosen) await service.restart();
    return chosen.map(({ id }) => id);
  }

  /** Stops the services whose id passes the test, the last one started first. */
  async stop(test: (id: string) => boolean = () => true): Promise<void> {
    for (const [id, service] of [...this.#services].reverse()) {
      if (!test(id)) continue;
      await service.end();
      this.#services.delete(id);
    }
  }

  /** Stops all services at once, by force after this time: what they are at cannot be finished. */
  async abandon(graceMs: number): Promise<void> {
    const services = [...this.#services.values()];
    this.#services.clear();
    await Promise.all(services.map(async (service) => await service.end(graceMs)));
  }
}

class Supervised {
  readonly id: string;
  readonly #start: StartChild;
  readonly #options: SupervisorOptions;
  readonly #actor: Actor<AnyStateMachine>;
  #child: Child | undefined;
  #retry: NodeJS.Timeout | undefined;
  #waiting: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #restarting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #isOver = false;

  constructor(id: string, start: StartChild, options: SupervisorOptions) {
    this.id = id;
    this.#start = start;
    this.#options = options;
    this.#actor = createActor(serviceMachine.logic).start();
  }

  status(): ServiceStatus {
    const { pid, restarts, last_error } = this.#context;
    return { id: this.id, state: this.#state, pid, restarts, last_error };
  }

  /** Resolves when it runs. @throws FabricError UNAVAILABLE when it is given up or stopped before that */
  async start(): Promise<void> {
    if (this.#isOver)
      throw new FabricError('UNAVAILABLE', `${this.id} is being stopped for good; it is not started again`);
    const running = new Promise<void>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    const { version, policy } = this.#options;
    this.#send({ type: 'START', pid: process.pid, host: hostname(), version, ...(policy ? { policy } : {}) });
    this.#run();
    await running;
  }

  /** Those who ask while a restart is under way share its outcome. */
  async restart(): Promise<void> {
    this.#restarting ??= this.stop()
      .then(async () => await this.start())
      .finally(() => {
        this.#restarting = undefined;
      });
    await this.#restarting;
  }

  /** Stops it for good, also in the middle of a restart. */
  async end(graceMs?: number): Promise<void> {
    this.#isOver = true;
    await this.stop(graceMs);
  }

  async stop(graceMs?: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs).finally(() => {
      this.#stopping = undefined;
    });
    await this.#stopping;
  }

  async #stop(graceMs: number | undefined): Promise<void> {
    clearTimeout(this.#retry);
    this.#giveUpWaiting('it was stopped');
    if (['stopped', 'failed', 'absent'].includes(this.#state)) return;
    this.#send({ type: 'STOP' });
    const child = this.#child;
    this.#child = undefined;
    await this.#options.recorded?.();
    await child?.stop(graceMs);
    if (this.#state === 'stopping') this.#send({ type: 'STOPPED' });
  }

  get #context(): ServiceContext {
    return (this.#actor.getSnapshot() as SnapshotFrom<AnyStateMachine>).context as ServiceContext;
  }

  get #state(): ServiceState {
    return (this.#actor.getSnapshot() as SnapshotFrom<AnyStateMachine>).value as ServiceState;
  }

  #send(event: ServiceStep): void {
    // The machine's time never goes back, whatever the system's clock does.
    const { updated_at, retry_at } = this.#context;
    const timed = { ...event, at: Math.max(Date.now(), updated_at, event.type === 'RETRY' ? (retry_at ?? 0) : 0) };
    this.#actor.send(timed);
    this.#options.record(this.id, timed);
  }

  #run(): void {
    let child: Child;
    try {
      child = this.#start();
    } catch (error) {
      this.#ended(error instanceof Error ? error.message : String(error));
      return;
    }
    this.#child = child;
    child.ready.then(
      () => {
        if (this.#child !== child) return;
        this.#send({ type: 'READY', pid: child.pid });
        this.#waiting?.resolve();
        this.#waiting = undefined;
      },
      () => {},
    );
    void child.ended.then((reason) => {
      if (this.#child === child) this.#ended(reason);
    });
  }

  #ended(reason: string): void {
    const { log, onEscalation } = this.#options;
    this.#child = undefined;
    this.#send({ type: 'EXIT', reason });
    const { backoff_ms } = this.#context;
    if (this.#state === 'backing_off') {
      log.warn({ service: this.id, reason, backoff_ms }, 'a service ended; it is started again');
      this.#retry = setTimeout(() => {
        this.#send({ type: 'RETRY' });
        this.#run();
      }, backoff_ms);
      return;
    }
    log.error({ service: this.id, reason }, 'a service ended too often; it is given up');
    this.#giveUpWaiting(reason);
    onEscalation(this.id, reason);
  }

  #giveUpWaiting(reason: string): void {
    this.#waiting?.reject(new FabricError('UNAVAILABLE', `${this.id} did not start: ${reason}`));
    this.#waiting = undefined;
  }
}
