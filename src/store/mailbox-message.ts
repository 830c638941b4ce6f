/**
 * What lies in a mailbox: one JSON object per message, for readers in any language. Delivery is at least once; `id` tells a
 * message that comes again from a new one.
 */
import type { Json } from '../../machines/record.ts';
import { decodeBody, encodeBody } from '../data/codec.ts';

/** What a swarm is sent beside tasks: a call for help, a word of control. Operators get escalations and approvals. */
export const noticeTypes = ['help', 'control', 'escalation', 'approval'] as const;
export type NoticeType = (typeof noticeTypes)[number];

/** What is told; `type` says what happened. The same `id` in the same mailbox is the same notice. */
export interface Notice {
  readonly id: string;
  readonly type: string;
  readonly [field: string]: Json;
}

interface Envelope {
  /** At most once among the unread messages of a mailbox, within two minutes. */
  readonly id: string;
  /** A swarm id, `operator`, or a service as `IF.<name>`. */
  readonly from: string;
  /** When it was sent, milliseconds since 1970. */
  readonly at: number;
}

export interface TaskMessage<Task> extends Envelope {
  readonly type: 'task';
  /** As it was when it was pushed. */
  readonly task: Task;
  /** The task is large: its metadata, result and error are left out; `task.get` has them. */
  readonly partial?: true;
}

export interface NoticeMessage extends Envelope {
  readonly type: NoticeType;
  readonly notice: Omit<Notice, 'id'>;
}

export type MailboxMessage<Task> = TaskMessage<Task> | NoticeMessage;

export function encodeMessage(message: MailboxMessage<object>): Uint8Array {
  return encodeBody(message, 'json');
}

/** Undefined for what is no message of a mailbox. */
export function decodeMessage<Task>(body: Uint8Array): MailboxMessage<Task> | undefined {
  let message: Record<string, unknown>;
  try {
    message = decodeBody(body, 'json');
  } catch {
    return undefined;
  }
  const { id, from, at, type } = message;
  if (typeof id !== 'string' || typeof from !== 'string' || typeof at !== 'number') return undefined;
  const content = message[type === 'task' ? 'task' : 'notice'];
  const isKnown = type === 'task' || (noticeTypes as readonly unknown[]).includes(type);
  return isKnown && typeof content === 'object' && content !== null
    ? (message as unknown as MailboxMessage<Task>)
    : undefined;
}
