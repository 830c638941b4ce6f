/**
 * The net under the timers: looks through the index for tasks whose time has come, or whose owner has left, without
 * anyone having noticed. It may find what another process is about to do; the machines decide once.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { SwarmState } from '../../machines/swarm/context.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import type { Log } from '../../src/log.ts';
import type { ActorStore } from '../../src/store/actor-store.ts';
import { type ActorLists, isOwnedState } from './lists.ts';
import type { TaskOperations } from './task-operations.ts';

export interface SweepOptions {
  readonly lists: ActorLists;
  readonly tasks: TaskOperations;
  readonly store: ActorStore;
  readonly log: Log;
  /** Entries of terminal actors older than this are forgotten, milliseconds. */
  readonly archiveAfterMs: number;
  /** Milliseconds between two sweeps. Default 5,000. */
  readonly everyMs?: number;
}

/** Of one sweep; the next one takes the rest. */
const mostPerSweep = 1_000;

export class Sweep {
  readonly #options: SweepOptions;
  readonly #stopping = new AbortController();
  readonly #loop: Promise<void>;

  constructor(options: SweepOptions) {
    this.#options = options;
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await delay(this.#options.everyMs ?? 5_000, undefined, { signal }).catch(() => {});
      if (signal.aborted) return;
      try {
        await this.#sweep();
      } catch (error) {
        this.#options.log.warn({ err: error }, 'a sweep was not finished; the next one goes on');
      }
    }
  }

  async #sweep(): Promise<void> {
    const { lists, tasks } = this.#options;
    const index = lists.entries('task');
    const now = Date.now();
    for (const id of index.select(({ due_at }) => due_at !== null && due_at <= now, { limit: mostPerSweep }))
      await tasks.due(id);
    for (const owner of await this.#absentOwners()) {
      const owned = index.select((entry) => entry.owner === owner && isOwnedState(entry.state), {
        limit: mostPerSweep,
      });
      for (const id of owned) await tasks.ownerLost(id, owner, 'unregistered');
    }
    index.forgetTerminal(now - this.#options.archiveAfterMs);
  }

  /** Owners of tasks that are not registered any more. */
  async #absentOwners(): Promise<string[]> {
    const { lists, store } = this.#options;
    const absent: string[] = [];
    for (const owner of lists.entries('task').owners()) {
      const stored = await store.read({ kind: swarmMachine.kind, id: owner });
      const state = stored?.record.snapshot.value as SwarmState | undefined;
      if (state?.registration === 'retired') absent.push(owner);
    }
    return absent;
  }
}
