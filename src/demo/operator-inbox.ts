/** What lies in the mailbox of the operators: what the fabric told people, once each. */
import { jetstreamManager } from '@nats-io/jetstream';
import { operatorId } from '../../machines/address.ts';
import type { FabricClient } from '../bus/client.ts';
import { decodeMessage, type Notice } from '../store/mailbox-message.ts';

/** Escalations that are stored, oldest first. */
export async function escalations({ connection, namespace }: FabricClient): Promise<Array<Omit<Notice, 'id'>>> {
  const manager = await jetstreamManager(connection, { checkAPI: false });
  const subject = namespace.mailboxSubject(operatorId, 'escalation');
  const { state } = await manager.streams.info(namespace.inboxStream);
  const found: Array<Omit<Notice, 'id'>> = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const stored = await manager.streams.getMessage(namespace.inboxStream, { seq });
    if (stored?.subject !== subject) continue;
    const message = decodeMessage<unknown>(stored.data);
    if (message && message.type !== 'task') found.push(message.notice);
  }
  return found;
}
