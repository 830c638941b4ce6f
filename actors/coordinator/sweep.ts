/**
 * The net under the timers: looks through the index for tasks whose time has come, or whose owner has left, without
 * anyone having noticed. It may find what another process is about to do; the machines decide once.
 */
import type { SwarmState } from '../../machines/swarm/context.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import type { Log } from '../../src/log.ts';
import { Rounds } from '../../src/rounds.ts';
import type { ActorStore } from '../../src/store/actor-store.ts';
import { youngestTrimmedMs } from '../../src/store/streams.ts';
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
  readonly #rounds: Rounds;

  constructor(options: SweepOptions) {
    this.#options = options;
    this.#rounds = new Rounds(
      options.everyMs ?? 5_000,
      async () => await this.#sweep(),
      (error) => options.log.warn({ err: error }, 'a sweep was not finished; the next one goes on'),
    );
  }

  async stop(): Promise<void> {
    await this.#rounds.stop();
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
    index.forgetTerminal(now - Math.max(this.#options.archiveAfterMs, youngestTrimmedMs));
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
