/**
 * What nobody acknowledged before its age limit: reported, then removed, never dropped silently. Each such message becomes
 * an audited entry of the journal, and its sender is told. Any number of processes may look: ids make a report that is
 * made twice one report, and one that was cut off is made again, since the message goes last.
 */
import { JetStreamApiError, type JetStreamManager, type StoredMsg } from '@nats-io/jetstream';
import { isSwarmId, operatorId } from '../../../machines/address.ts';
import type { Json } from '../../../machines/record.ts';
import { jsCode } from '../../../src/bus/jetstream-answer.ts';
import { FabricError } from '../../../src/errors.ts';
import type { Log } from '../../../src/log.ts';
import type { Namespace } from '../../../src/namespace.ts';
import { Rounds } from '../../../src/rounds.ts';
import type { Journal } from '../../../src/store/journal.ts';
import { decodeMessage } from '../../../src/store/mailbox-message.ts';
import { type Mailboxes, mailService } from './mailboxes.ts';

export interface UndeliveredOptions {
  readonly jsm: JetStreamManager;
  readonly namespace: Namespace;
  readonly log: Log;
  readonly journal: Journal;
  readonly mailboxes: Pick<Mailboxes, 'deliver'>;
  /** How long a message may stay unacknowledged, milliseconds. */
  readonly maxAgeMs: number;
  /** Milliseconds between two rounds. Default 60,000, but no longer than `maxAgeMs`. */
  readonly everyMs?: number;
}

/** Messages that are reported at the same time. */
const atOnce = 32;
const sequenceNotFound = 10043;
/** The notice to the sender; when it is not read either, that ends with the journal. */
const noticeName = 'undelivered';

/** A message whose time is over. */
interface Expired {
  readonly seq: number;
  readonly to: string;
  readonly type: string;
  readonly id: string;
  /** Undefined for what the fabric did not write. */
  readonly from: string | undefined;
  readonly task_id: string | undefined;
  readonly trace_id: string | undefined;
  readonly published_at: number;
  /** It is itself the report of an undelivered message. */
  readonly isReport: boolean;
}

export class Undelivered {
  readonly #options: UndeliveredOptions;
  readonly #rounds: Rounds;

  constructor(options: UndeliveredOptions) {
    this.#options = options;
    this.#rounds = new Rounds(
      options.everyMs ?? Math.min(60_000, options.maxAgeMs),
      async (signal) => await this.round(signal),
      (error) => options.log.warn({ err: error }, 'the mailboxes were not looked through; the next round goes on'),
    );
  }

  async stop(): Promise<void> {
    await this.#rounds.stop();
  }

  /** Looks at the oldest messages; one request when none is too old. */
  async round(signal?: AbortSignal, now = Date.now()): Promise<void> {
    const { jsm, namespace, maxAgeMs } = this.#options;
    const before = now - maxAgeMs;
    const { state } = await jsm.streams.info(namespace.inboxStream);
    if (state.messages === 0 || Date.parse(state.first_ts) > before) return;
    const floors = new Map<string, Promise<number>>();
    // What is sent meanwhile, such as these reports, is for a later round.
    for (let next = state.first_seq; !signal?.aborted; ) {
      const batch = await this.#read(next, state.last_seq, before);
      await Promise.all(batch.map(async (message) => await this.#end(message, floors)));
      if (batch.length < atOnce) return;
      next = batch.at(-1)!.seq + 1;
    }
  }

  /** The next messages that are too old, in their order. */
  async #read(from: number, to: number, before: number): Promise<Expired[]> {
    const { jsm, namespace } = this.#options;
    const found: Expired[] = [];
    for (let seq = from; found.length < atOnce; ) {
      // The first from this sequence on; without the subject it would be this very one.
      const query = { next_by_subj: '>', seq };
      const message = await jsm.streams.getMessage(namespace.inboxStream, query);
      if (!message || message.seq > to || message.time.getTime() > before) break;
      found.push(expired(message));
      seq = message.seq + 1;
    }
    return found;
  }

  async #end(message: Expired, floors: Map<string, Promise<number>>): Promise<void> {
    const { jsm, namespace, log } = this.#options;
    const { seq, to, type, id } = message;
    const floor = floors.get(to) ?? this.#acknowledgedUpTo(to);
    floors.set(to, floor);
    if (seq > (await floor)) {
      await this.#report(message);
      log.warn({ to, type, id }, 'a mailbox message was not acknowledged in time; it was reported and is removed');
    }
    await jsm.streams.deleteMessage(namespace.inboxStream, seq).catch((error: unknown) => {
      // Another process was faster, or the swarm acknowledged it meanwhile.
      if (!(error instanceof JetStreamApiError && error.code === sequenceNotFound)) throw error;
    });
  }

  /** What lies at or below this was acknowledged and is only still there. */
  async #acknowledgedUpTo(to: string): Promise<number> {
    const { jsm, namespace } = this.#options;
    try {
      return (await jsm.consumers.info(namespace.inboxStream, namespace.mailboxConsumer(to))).ack_floor.stream_seq;
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === jsCode.consumerNotFound) return 0;
      throw error;
    }
  }

  async #report(message: Expired): Promise<void> {
    const { journal, mailboxes, log } = this.#options;
    const { seq, to, type, id, task_id, trace_id, published_at } = message;
    const payload: { [key: string]: Json } = { to, type, id, ...(task_id ? { task_id } : {}), published_at };
    await journal.write({
      id: `expired-${seq}`,
      by: mailService,
      at: Date.now(),
      event: 'MAILBOX_EXPIRED',
      component: 'IF.mailbox',
      trace_id: trace_id ?? id,
      payload: { ...payload, from: message.from ?? null },
    });
    if (message.isReport) return;
    const sender = message.from !== undefined && isSwarmId(message.from) ? message.from : operatorId;
    const notice = { ...payload, id: `expired-${seq}`, type: noticeName, message_type: type, message_id: id };
    try {
      await mailboxes.deliver(sender, sender === operatorId ? 'escalation' : 'control', notice);
    } catch (error) {
      // The journal has it; a sender whose own mailbox is full does not keep the message here.
      if (!(error instanceof FabricError && error.code === 'RATE_LIMITED')) throw error;
      log.warn({ err: error, to: sender, id }, 'the sender of an undelivered message was not told');
    }
  }
}

function expired(stored: StoredMsg): Expired {
  const [, , to = '', ...type] = stored.subject.split('.');
  const message = decodeMessage<{ task_id?: string; trace_id?: string }>(stored.data);
  const task = message?.type === 'task' ? message.task : undefined;
  return {
    seq: stored.seq,
    to,
    type: type.join('.'),
    id: message?.id ?? `message-${stored.seq}`,
    from: message?.from,
    task_id: task?.task_id,
    trace_id: task?.trace_id,
    published_at: stored.time.getTime(),
    // An operator's mailbox ends here as well: there is nobody above.
    isReport:
      to === operatorId || (message !== undefined && message.type !== 'task' && message.notice.type === noticeName),
  };
}
