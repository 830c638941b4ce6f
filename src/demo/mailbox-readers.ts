/** Mailboxes that an act reads for as long as it lasts; one that cannot be read any more ends whatever waits for it. */
import type { FabricClient } from '../bus/client.ts';
import { FabricError } from '../errors.ts';
import { type MailboxOptions, readMailbox } from '../sdk/mailbox.ts';
import { orAborted } from '../sdk/or-aborted.ts';

export class MailboxReaders {
  readonly #over = new AbortController();
  readonly #failed = new AbortController();
  readonly #reading: AbortSignal;
  readonly #readers: Promise<void>[] = [];

  /** Nothing is read once the signal aborts. */
  constructor(signal: AbortSignal) {
    this.#reading = AbortSignal.any([signal, this.#over.signal]);
  }

  read(client: FabricClient, onMessage: MailboxOptions['onMessage']): void {
    const reader = readMailbox({ client, signal: this.#reading, onMessage }).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      this.#failed.abort(new FabricError('UNAVAILABLE', `the mailbox of ${client.callerId} was closed: ${why}`));
    });
    this.#readers.push(reader);
  }

  /** As `promise`; rejects when a mailbox is lost, or nothing is read any more. */
  async whileReading<T>(promise: Promise<T>): Promise<T> {
    return await orAborted(promise, AbortSignal.any([this.#reading, this.#failed.signal]));
  }

  /** Resolves when nothing is read any more. */
  async end(): Promise<void> {
    this.#over.abort();
    await Promise.all(this.#readers);
  }
}
