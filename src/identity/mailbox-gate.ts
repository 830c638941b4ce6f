/**
 * The way from the swarms to their mailboxes. What a swarm asks JetStream arrives here first, in the account of the
 * streams, and is handed on only if the answer goes to that swarm itself: a server publishes its answers wherever the
 * question says, and in this account it could be made to overwrite records or delete streams.
 *
 * JetStream delivers to the swarm directly, and knows when the swarm has left. The gate keeps nothing: any number may run,
 * each request passes one of them, and requests that are waiting for messages outlive it.
 */
import type { Msg, NatsConnection } from '@nats-io/nats-core';
import { isSwarmId } from '../../machines/address.ts';
import { inboxPrefix, type Namespace } from '../namespace.ts';

/** How long JetStream has for an answer, in milliseconds: as long as its clients wait. */
const answerMs = 5_000;

/** How long a request for messages is held back, in milliseconds. It concerns nobody who is waiting already. */
const settleMs = 5;

/** What swarms may ask about their mailboxes, as patterns; `*` stands for the consumer. */
export function mailboxRequests(namespace: Namespace): string[] {
  const stream = namespace.inboxStream;
  return [
    `$JS.API.CONSUMER.INFO.${stream}.*`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`,
    // At least six tokens: fewer is no acknowledgement.
    `$JS.ACK.${stream}.*.*.>`,
  ];
}

/** The requests of the swarms arrive with this in front of their subject, so that JetStream does not see them. */
export function gatePrefix(namespace: Namespace): string {
  return `${namespace.root}.mailbox`;
}

/** Where a request goes on to; undefined when its answer would not go to the swarm whose mailbox it is about. */
export function passGate(namespace: Namespace, subject: string, reply: string): string | undefined {
  const target = subject.slice(gatePrefix(namespace).length + 1);
  const tokens = target.split('.');
  const isAck = tokens[1] === 'ACK';
  const consumer = (isAck ? tokens[3] : tokens.at(-1)) ?? '';
  const swarmId = consumer.slice(namespace.mailboxConsumer('').length);
  if (!isSwarmId(swarmId) || consumer !== namespace.mailboxConsumer(swarmId)) return undefined;
  const answersItself = reply.startsWith(`${inboxPrefix(swarmId)}.`) && !/[*>\s]/.test(reply);
  return answersItself || (isAck && reply === '') ? target : undefined;
}

function forward(service: NatsConnection, message: Msg, target: string, reply: string): void {
  if (target.startsWith('$JS.API.CONSUMER.INFO.')) {
    // The answer returns through the node of the one who asks, and that passes nothing on to a third node.
    service.request(target, message.data, { timeout: answerMs }).then(
      (answer) => void message.respond(answer.data),
      () => {}, // Unanswered here is unanswered there.
    );
    return;
  }
  const options = {
    ...(reply === '' ? {} : { reply }),
    ...(message.headers ? { headers: message.headers } : {}),
  };
  if (target.startsWith('$JS.ACK.')) {
    service.publish(target, message.data, options);
    return;
  }
  // The swarm's subscription to the answer travels to the leader of the consumer by another way than this request. A
  // leader that learns of the request first drops it, since nobody seems to listen.
  setTimeout(() => {
    if (!service.isClosed() && !service.isDraining()) service.publish(target, message.data, options);
  }, settleMs);
}

export interface MailboxGate {
  close(): Promise<void>;
}

/**
 * Lets the swarms read their mailboxes through this connection, which needs credentials of a service. Without a gate in
 * the fabric they are told that there is no responder.
 */
export function openMailboxGate(service: NatsConnection, namespace: Namespace): MailboxGate {
  const gates = mailboxRequests(namespace).map((pattern) =>
    service.subscribe(`${gatePrefix(namespace)}.${pattern}`, {
      queue: 'mailbox-gate',
      callback: (error, message) => {
        if (error) return;
        const reply = message.reply ?? '';
        const target = passGate(namespace, message.subject, reply);
        if (target !== undefined) forward(service, message, target, reply);
      },
    }),
  );
  return {
    async close() {
      await Promise.all(gates.filter((gate) => !gate.isClosed()).map((gate) => gate.drain()));
    },
  };
}
