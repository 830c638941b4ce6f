/** The headers of a stream's messages from a sequence on: enough to tell what a record is, without its body. */
import { DeliverPolicy, type JsMsg, jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';

export interface HeaderRange {
  readonly stream: string;
  /** Wildcards allowed. */
  readonly subject: string;
  /** The first sequence. */
  readonly from: number;
}

/** Of one read. */
const most = 10_000;

/** Calls `onMessage` for each until it answers with false; says whether there are more. @throws when the stream cannot be read */
export async function readHeaders(
  nc: NatsConnection,
  { stream, subject, from }: HeaderRange,
  onMessage: (message: JsMsg) => boolean,
): Promise<boolean> {
  const consumer = await jetstream(nc).consumers.get(stream, {
    filter_subjects: [subject],
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: from,
    headers_only: true,
  });
  try {
    const { num_pending } = await consumer.info();
    if (num_pending === 0) return false;
    const messages = await consumer.fetch({ max_messages: Math.min(num_pending, most), expires: 5_000 });
    let read = 0;
    for await (const message of messages) {
      if (!onMessage(message)) {
        messages.stop();
        return false;
      }
      read++;
    }
    // Fewer than were asked for have come where the servers are busy.
    return read < num_pending;
  } finally {
    await consumer.delete().catch(() => {});
  }
}
