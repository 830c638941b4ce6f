/**
 * Holds writes back from the moment a connection is lost until the log behind the new one is known to be of the same
 * epoch. All nodes may have lost their memory meanwhile, and what is written to an empty log before its epoch record would
 * pass for its beginning.
 */
import type { NatsConnection } from '@nats-io/nats-core';
import { FabricError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import type { Epoch } from '../witness/epoch.ts';
import { requireEpoch } from './epoch-watch.ts';

export class EpochGate {
  readonly #nc: NatsConnection;
  readonly #namespace: Namespace;
  readonly #expected: Epoch;
  /** Counts the connections that were lost or made. */
  #changes = 0;
  #verified = 0;
  #checking: Promise<void> | undefined;

  /** `expected` was read over this connection, or one before it. */
  constructor(nc: NatsConnection, namespace: Namespace, expected: Epoch) {
    this.#nc = nc;
    this.#namespace = namespace;
    this.#expected = expected;
    void this.#watch();
  }

  /** Whether what is published now reaches the log of the expected epoch, or nothing. */
  get isOpen(): boolean {
    return this.#verified === this.#changes;
  }

  /**
   * Resolves when it is open. Nothing may be awaited between that, or a look at `isOpen`, and the write.
   * @throws FabricError UNAVAILABLE: with `details.lost` when the log is of another epoch, or of none
   */
  async opened(timeoutMs: number): Promise<void> {
    const until = Date.now() + timeoutMs;
    while (!this.isOpen) {
      const left = until - Date.now();
      if (left <= 0)
        throw new FabricError('UNAVAILABLE', 'the cluster does not say of which epoch its log is; nothing was written');
      this.#checking ??= this.#check().finally(() => {
        this.#checking = undefined;
      });
      await orAfter(this.#checking, left);
    }
  }

  async #check(): Promise<void> {
    const changes = this.#changes;
    await requireEpoch(this.#nc, this.#namespace, this.#expected);
    this.#verified = changes;
  }

  async #watch(): Promise<void> {
    for await (const { type } of this.#nc.status()) {
      // What is published while a connection is being made is sent as soon as it is made.
      if (type === 'disconnect' || type === 'reconnect') this.#changes++;
    }
  }
}

/** What the work rejects with, at the latest after this time; resolves when it is over or the time is. */
async function orAfter(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
