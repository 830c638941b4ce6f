/**
 * What the fabric sends to swarms and operators: pushed tasks and notices, through durable mailboxes. A message is
 * delivered at once to who is there and kept for who is away; a full mailbox refuses, nothing is dropped to make room.
 *
 * A live subscriber sees messages as they are sent, so also one that is sent again, or refused in the end; `id` tells.
 */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { JetStreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/nats-core';
import { publishStored, type Stored } from '../../../src/bus/stored-publish.ts';
import { contentTypes } from '../../../src/data/codec.ts';
import { FabricError } from '../../../src/errors.ts';
import type { Log } from '../../../src/log.ts';
import type { Namespace } from '../../../src/namespace.ts';
import { Lanes } from '../../../src/store/lanes.ts';
import {
  encodeMessage,
  type MailboxMessage,
  type Notice,
  type NoticeType,
  type TaskMessage,
} from '../../../src/store/mailbox-message.ts';
import { mailboxLimit } from '../../../src/store/streams.ts';
import type { SwarmView } from '../swarms/swarm-view.ts';
import type { NewTask } from '../tasks/task-creation.ts';
import type { TaskView } from '../tasks/task-view.ts';

export interface MailboxesOptions {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly namespace: Namespace;
  readonly log: Log;
  readonly createTask: (by: string, task: NewTask) => Promise<TaskView>;
  /** @throws FabricError TASK_NOT_FOUND */
  readonly getTask: (task_id: string) => Promise<TaskView>;
  /** @throws FabricError SWARM_NOT_FOUND */
  readonly getSwarm: (swarm_id: string) => Promise<SwarmView>;
  /** Who the notices are from. Default: the coordinator. */
  readonly from?: string;
}

export interface Push {
  readonly to: string;
  /** A task that exists, or one that is made first, as `task.create` does. */
  readonly what: { readonly task_id: string } | { readonly task: NewTask };
}

/** Who the fabric's own messages are from. */
export const mailService = 'IF.coordinator';

/** Notices that wait for the cluster; further ones are given up. */
const mostPending = 1_000;
const deadlineMs = 15_000;
const noticeDeadlineMs = 60_000;
/** How long a stop waits for notices. */
const graceMs = 2_000;
/** A mailbox of tasks that are larger than this would be more than its share of the nodes' memory. */
const largeTaskBytes = 16 * 1024;
/** More than a message has. */
const spareBytes = 4 * largeTaskBytes;

export class Mailboxes {
  readonly #options: MailboxesOptions;
  readonly #lanes = new Lanes();
  readonly #pending = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(options: MailboxesOptions) {
    this.#options = options;
  }

  /**
   * Puts a task into a swarm's mailbox; the same push of an unchanged task again changes nothing. The sequence is that of
   * the message in the stream of the mailboxes.
   * @throws FabricError SWARM_NOT_FOUND, RATE_LIMITED (the mailbox is full), TASK_NOT_FOUND, as `task.create`
   */
  async push(by: string, { to, what }: Push): Promise<{ delivered_to: string; seq: number }> {
    const [, task] = await Promise.all([this.#requireReader(to), this.#taskOf(what)]);
    const made = 'task' in what ? await this.#create(by, to, what.task, task !== undefined) : task!;
    const id = pushId(by, to, made);
    const stored = await this.#send(to, taskMessage(id, by, made), Date.now() + deadlineMs);
    if ('refused' in stored) {
      const kept = 'task' in what ? `; the task ${made.task_id} exists and can be pushed by its id` : '';
      throw full(to, 'task', stored.refused, kept);
    }
    return { delivered_to: to, seq: stored.seq };
  }

  /**
   * Sends a notice, now and in the background, again and again until it is stored; what cannot be stored within a minute,
   * or does not fit, is given up and logged. Notices to one reader are stored in the order of the calls.
   */
  notify(to: string, type: NoticeType, notice: Notice): void {
    const { log } = this.#options;
    if (this.#pending.size >= mostPending || this.#stopping.signal.aborted) {
      log.warn({ to, type, notice: notice.id }, 'a notice was given up: too many wait already');
      return;
    }
    const deadline = Date.now() + noticeDeadlineMs;
    const sending = this.#lanes
      .run(to, async () => await this.#deliver(to, type, notice, deadline))
      .catch((error: unknown) => log.warn({ err: error, to, type, notice: notice.id }, 'a notice was given up'))
      .finally(() => this.#pending.delete(sending));
    this.#pending.add(sending);
  }

  /** As `notify`, and resolves when the notice is stored. @throws FabricError RATE_LIMITED, UNAVAILABLE */
  async deliver(to: string, type: NoticeType, notice: Notice): Promise<void> {
    await this.#deliver(to, type, notice, Date.now() + deadlineMs);
  }

  /** Sends what it can in a moment and gives up the rest. */
  async stop(): Promise<void> {
    const over = new AbortController();
    const sent = Promise.all(this.#pending).finally(() => over.abort());
    await delay(graceMs, undefined, { signal: over.signal }).catch(() => {});
    this.#stopping.abort();
    await sent;
  }

  async #requireReader(to: string): Promise<void> {
    const { registration } = await this.#options.getSwarm(to);
    if (registration === 'retired')
      throw new FabricError('SWARM_NOT_FOUND', `the swarm ${to} has unregistered; push to another one`);
  }

  /** The task that is named, or, where one is to be made, what exists under its id. */
  async #taskOf(what: Push['what']): Promise<TaskView | undefined> {
    const { getTask } = this.#options;
    if ('task_id' in what) return await getTask(what.task_id);
    return await getTask(what.task.task_id).catch((error: unknown) => {
      if (error instanceof FabricError && error.code === 'TASK_NOT_FOUND') return undefined;
      throw error;
    });
  }

  /** A refused push must not leave a new task behind. */
  async #create(by: string, to: string, task: NewTask, exists: boolean): Promise<TaskView> {
    if (!exists) await this.#requireRoom(to);
    return await this.#options.createTask(by, task);
  }

  async #requireRoom(to: string): Promise<void> {
    const { jsm, namespace } = this.#options;
    const subject = namespace.mailboxSubject(to, 'task');
    const { config, state } = await jsm.streams
      .info(namespace.inboxStream, { subjects_filter: subject })
      .catch((error: unknown): never => {
        const why = `it cannot be seen whether the mailbox of ${to} has room; nothing was done, try again`;
        throw new FabricError('UNAVAILABLE', why, undefined, { cause: error });
      });
    if (state.bytes + spareBytes > config.max_bytes) throw full(to, 'task', 'stream_full');
    if ((state.subjects?.[subject] ?? 0) >= config.max_msgs_per_subject) throw full(to, 'task', 'subject_full');
  }

  async #deliver(to: string, type: NoticeType, { id, ...notice }: Notice, deadline: number): Promise<void> {
    if (this.#stopping.signal.aborted) throw new FabricError('UNAVAILABLE', 'this service has stopped');
    const { from = mailService } = this.#options;
    const message = { id, type, from, at: Date.now(), notice } as MailboxMessage<TaskView>;
    const stored = await this.#send(to, message, deadline, this.#stopping.signal);
    if ('refused' in stored) throw full(to, type, stored.refused);
  }

  async #send(to: string, message: MailboxMessage<TaskView>, deadline: number, signal?: AbortSignal): Promise<Stored> {
    const { nc, namespace } = this.#options;
    const h = headers();
    // Ids of messages are those of the whole stream, in which the same notice may go to several readers.
    h.set('Nats-Msg-Id', `${to}.${message.type}:${message.id}`);
    h.set('Content-Type', contentTypes.json);
    h.set('IF-By', message.from);
    return await publishStored(nc, namespace.mailboxSubject(to, message.type), encodeMessage(message), {
      headers: h,
      deadline,
      what: `the message for ${to}`,
      ...(signal ? { signal } : {}),
    });
  }
}

/** Of a record of a task, not of its place in the log alone: a task that was made anew begins to count anew. */
function pushId(by: string, to: string, { task_id, n, revision }: TaskView): string {
  const text = JSON.stringify([by, to, task_id, n, revision]);
  return `push-${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
}

function taskMessage(id: string, from: string, task: TaskView): TaskMessage<TaskView> {
  const message = { id, type: 'task', from, at: Date.now(), task } as const;
  if (Buffer.byteLength(JSON.stringify(task)) <= largeTaskBytes) return message;
  return { ...message, task: { ...task, metadata: {}, result: null, error: null }, partial: true };
}

function full(to: string, type: string, which: 'subject_full' | 'stream_full', kept = ''): FabricError {
  const what =
    which === 'subject_full'
      ? `the mailbox of ${to} is full (${mailboxLimit} unread messages of type ${type}); let ${to} read it, then send again`
      : 'the mailboxes of the fabric are full; let their swarms read them, then send again';
  return new FabricError('RATE_LIMITED', `${what}${kept}`, { to, type });
}
