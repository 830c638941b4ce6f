/** Entries that agents log themselves: one message of the journal each, under the name of who the bus says they are. */
import { headers, type NatsConnection } from '@nats-io/nats-core';
import type { Json } from '../../machines/record.ts';
import { type Backoff, backOff } from '../../src/backoff.ts';
import { answerOf, jsCode, type PublishAnswer } from '../../src/bus/jetstream-answer.ts';
import { packBytes } from '../../src/data/codec.ts';
import { FabricError } from '../../src/errors.ts';
import type { Namespace } from '../../src/namespace.ts';

export interface JournalEntry {
  /** Makes the entry idempotent for its writer, within two minutes. */
  readonly id: string;
  readonly by: string;
  readonly at: number;
  readonly event: string;
  readonly component: string;
  readonly trace_id: string;
  readonly payload: Json;
  readonly cost?: Json;
}

const betweenTries: Backoff = { first: 10, max: 250 };
const deadlineMs = 15_000;

export class Journal {
  readonly #nc: NatsConnection;
  readonly #namespace: Namespace;

  constructor(nc: NatsConnection, namespace: Namespace) {
    this.#nc = nc;
    this.#namespace = namespace;
  }

  /** The sequence of the entry. @throws FabricError UNAVAILABLE, RATE_LIMITED */
  async write(entry: JournalEntry): Promise<number> {
    const h = headers();
    h.set('Nats-Msg-Id', `${entry.by}:${entry.id}`);
    h.set('IF-By', entry.by);
    h.set('IF-Event', entry.event);
    const body = packBytes(entry);
    const deadline = Date.now() + deadlineMs;
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#try(body, entry.by, h);
      if (answer?.seq !== undefined && !answer.error) return answer.seq;
      if (answer?.error?.err_code === jsCode.storeFull)
        throw new FabricError('RATE_LIMITED', 'the journal is full; nothing was written');
      if (Date.now() >= deadline)
        throw new FabricError('UNAVAILABLE', 'the journal did not take the entry in time; repeat it with the same id');
      await backOff(betweenTries, attempt);
    }
  }

  async #try(body: Uint8Array, by: string, h: ReturnType<typeof headers>): Promise<PublishAnswer | undefined> {
    try {
      return answerOf<PublishAnswer>(
        await this.#nc.request(this.#namespace.journalSubject(by), body, { headers: h, timeout: 1_000 }),
      );
    } catch {
      return undefined;
    }
  }
}
