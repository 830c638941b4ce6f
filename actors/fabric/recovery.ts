/**
 * Watches whether the cluster still has its memory, for as long as the fabric runs. When all of it is lost the services
 * are stopped, a new epoch is opened with what the witness holds, and the services begin again; nobody has to be asked.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { NatsConnection } from '@nats-io/nats-core';
import { type Backoff, backoffMs } from '../../src/backoff.ts';
import type { Log } from '../../src/log.ts';
import type { Namespace } from '../../src/namespace.ts';
import { type EpochWatch, watchEpoch } from '../../src/store/epoch-watch.ts';
import type { Epoch } from '../../src/witness/epoch.ts';

export interface RecoveryOptions {
  readonly nc: NatsConnection;
  readonly namespace: Namespace;
  readonly epoch: Epoch;
  readonly log: Log;
  /** Begins anew, as often as it is called; resolves with the new epoch when the services run. */
  readonly recover: (signal: AbortSignal) => Promise<Epoch>;
  /** It did not work, several times. */
  readonly onFailure: (reason: string) => void;
}

const lookEveryMs = 500;
const mostTries = 8;
const betweenTries: Backoff = { first: 500, max: 5_000 };

export class Recovery {
  readonly #options: RecoveryOptions;
  readonly #stopping = new AbortController();
  readonly #loop: Promise<void>;
  #watch: EpochWatch | undefined;

  constructor(options: RecoveryOptions) {
    this.#options = options;
    this.#loop = this.#run(options.epoch);
  }

  /** Watches no longer, and gives up what is under way. Resolves when nothing of it goes on. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#watch?.stop();
    await this.#loop;
  }

  async #run(first: Epoch): Promise<void> {
    const { nc, namespace } = this.#options;
    const stopped = new Promise<void>((resolve) => {
      this.#stopping.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    for (let epoch: Epoch | undefined = first; epoch; ) {
      const watch = watchEpoch(nc, namespace, epoch, lookEveryMs);
      this.#watch = watch;
      await Promise.race([watch.failed.catch(() => {}), stopped]);
      await watch.stop();
      epoch = this.#stopping.signal.aborted ? undefined : await this.#recover();
    }
  }

  async #recover(): Promise<Epoch | undefined> {
    const { log, recover, onFailure } = this.#options;
    const { signal } = this.#stopping;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        return await recover(signal);
      } catch (error) {
        if (signal.aborted) return undefined;
        log.error({ err: error }, 'the fabric did not come back after the cluster lost its memory');
        if (attempt + 1 >= mostTries) {
          onFailure(error instanceof Error ? error.message : String(error));
          return undefined;
        }
      }
      await delay(backoffMs(betweenTries, attempt), undefined, { signal }).catch(() => {});
    }
    return undefined;
  }
}
