/** The streams of a fabric, as far as permissions are concerned, and the probes that tests make on them. */
import { AckPolicy, type JetStreamManager, jetstreamManager, RetentionPolicy, StorageType } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Namespace } from '../../src/namespace.ts';

export async function makeStreams(service: NatsConnection, namespace: Namespace, swarms: readonly string[]) {
  const jsm = await jetstreamManager(service);
  const { root, actorsStream, actorsBucket, busStream, busBucket, inboxStream, journalStream, timersStream } =
    namespace;
  const streams: Array<[string, string]> = [
    [actorsStream, `$KV.${actorsBucket}.>`],
    [busStream, `$KV.${busBucket}.>`],
    [inboxStream, `${root}.inbox.*.*`],
    [journalStream, `${root}.journal.>`],
    [timersStream, `${root}.timer.>`],
  ];
  for (const [name, subject] of streams) {
    await jsm.streams.add({
      name,
      subjects: [subject],
      storage: StorageType.Memory,
      retention: RetentionPolicy.Limits,
      num_replicas: 3,
      allow_direct: true,
      ...(name === actorsStream ? { republish: { src: subject, dest: `${root}.event.>` } } : {}),
    });
  }
  for (const swarm of swarms) {
    await jsm.consumers.add(inboxStream, {
      durable_name: namespace.mailboxConsumer(swarm),
      filter_subject: namespace.mailboxSubject(swarm, '>'),
      ack_policy: AckPolicy.Explicit,
      ack_wait: 2_000_000_000,
    });
  }
  return { jsm, names: streams.map(([name]) => name) };
}

/** What swarms must not be able to change: contents of the streams and positions of the mailbox readers. */
export async function stateOf(jsm: JetStreamManager, names: readonly string[]): Promise<unknown[]> {
  const streams = await Promise.all(
    names.map(async (name) => {
      const { state } = await jsm.streams.info(name);
      return { name, messages: state.messages, last_seq: state.last_seq, consumers: state.consumer_count };
    }),
  );
  return streams;
}

/** Whether the server lets this connection subscribe. */
export async function subscriptionIs(
  connection: NatsConnection,
  subject: string,
  queue?: string,
): Promise<'allowed' | 'denied'> {
  let denied = false;
  const subscription = connection.subscribe(subject, {
    ...(queue === undefined ? {} : { queue }),
    callback: (error) => {
      if (error?.name === 'PermissionViolationError') denied = true;
    },
  });
  // The server answers in order: a refusal arrives before the answer to this.
  await connection.flush();
  if (!subscription.isClosed()) subscription.unsubscribe();
  return denied ? 'denied' : 'allowed';
}
