/** Prunes a witness database while its witness runs, round after round, in steps between which the witness goes on. */
import { setImmediate as breathe } from 'node:timers/promises';
import { systemClock } from '../../clock.ts';
import type { Log } from '../../log.ts';
import { Rounds } from '../../rounds.ts';
import type { WitnessDatabase } from '../database.ts';
import { openSigningKey, trustedKeysOf } from '../proofs/signing-key.ts';
import { type PrunedChain, pruneSteps } from './prune.ts';

export interface PruneRoundsOptions {
  readonly database: WitnessDatabase;
  /** Where the keys are. */
  readonly dataDir: string;
  /** Entries older than this go, milliseconds; 0: none ever. */
  readonly retainMs: number;
  /** How long finished actors can be restored, milliseconds. */
  readonly archiveAfterMs: number;
  /** Signs a checkpoint of what there is, if there is none, and appends it to the files of checkpoints. */
  readonly checkpoint: () => Promise<unknown>;
  readonly log: Log;
  /** Milliseconds between two rounds. Default an hour. */
  readonly everyMs?: number;
}

export class PruneRounds {
  readonly #options: PruneRoundsOptions;
  readonly #rounds: Rounds | undefined;

  constructor(options: PruneRoundsOptions) {
    this.#options = options;
    const { retainMs, everyMs = 3_600_000, log } = options;
    if (retainMs === 0) return;
    this.#rounds = new Rounds(
      everyMs,
      async (signal) => void (await this.round(signal)),
      (error) => log.warn({ err: error }, 'the witness database was not pruned; the next round tries again'),
    );
  }

  /** Ends after the present step. */
  async stop(): Promise<void> {
    await this.#rounds?.stop();
  }

  /** @throws FabricError, SqliteError as `prune` */
  async round(signal?: AbortSignal): Promise<readonly PrunedChain[]> {
    const { database, dataDir, retainMs, archiveAfterMs: archive_after_ms, checkpoint, log } = this.#options;
    await checkpoint();
    const key = await openSigningKey(dataDir);
    const trusted = trustedKeysOf(dataDir);
    if (!trusted) return [];
    const now = systemClock.now();
    const steps = pruneSteps(database.sqlite, { before: now - retainMs, now, key, trusted, archive_after_ms });
    for (;;) {
      const step = steps.next();
      if (step.done) {
        for (const chain of step.value) if (chain.removed > 0) log.info({ ...chain }, 'old entries were pruned');
        return step.value;
      }
      await breathe();
      if (signal?.aborted) return [];
    }
  }
}
