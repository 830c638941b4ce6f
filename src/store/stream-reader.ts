/** Records of a stream as its leader has them. */
import type { NatsConnection } from '@nats-io/nats-core';
import { LeaderRead, type LeaderReadOptions, type MessageQuery } from './leader-read.ts';
import type { StoredRecord } from './record-log.ts';
import { recordFrom } from './record-message.ts';

export class StreamReader {
  readonly #leader: LeaderRead;

  constructor(nc: NatsConnection, stream: string, options: LeaderReadOptions = {}) {
    this.#leader = new LeaderRead(nc, stream, options);
  }

  /** The last record under a subject. @throws FabricError UNAVAILABLE */
  async last(subject: string): Promise<StoredRecord | undefined> {
    return await this.#get({ last_by_subj: subject });
  }

  /** The first record under a subject (wildcards allowed) from a sequence on; `until` skips those before it. */
  async next(
    subject: string,
    from: number,
    until: (found: StoredRecord) => boolean = () => true,
  ): Promise<StoredRecord | undefined> {
    for (let seq = from; ; ) {
      const found = await this.#get({ next_by_subj: subject, seq });
      if (!found || until(found)) return found;
      seq = found.revision + 1;
    }
  }

  async #get(query: MessageQuery): Promise<StoredRecord | undefined> {
    const message = await this.#leader.message(query);
    return message && { revision: message.seq, record: recordFrom(message.data) };
  }
}
