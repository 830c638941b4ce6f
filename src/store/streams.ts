/**
 * The streams and buckets of a fabric and their configuration. None of them drops history by itself: the audited ones
 * have no per-key limit, refuse writes when full, and are trimmed only behind the witness. Mailboxes, too, refuse what they
 * have no room for, and keep a message until it is acknowledged, or reported as undelivered.
 */
import {
  AckPolicy,
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream';
import { nanos } from '@nats-io/nats-core';
import { isClosed } from '../bus/jetstream-answer.ts';
import { FabricError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';

export interface StreamsOptions {
  readonly replicas: number;
  readonly storage: 'memory' | 'file';
  /** Most bytes of the actors' log on each replica; the other streams take a fixed share beside it. */
  readonly maxLogBytes: number;
}

const MiB = 1024 * 1024;

const shares = { bus: 256 * MiB, journal: 256 * MiB, timers: 128 * MiB, inbox: 256 * MiB } as const;

/** The memory (or disk) that all streams of a fabric reserve on each node, bytes. */
export function reservedBytes(maxLogBytes: number): number {
  return maxLogBytes + shares.bus + shares.journal + shares.timers + shares.inbox;
}

/** How long a repeated message id is recognised, milliseconds. */
export const duplicateWindowMs = 120_000;

/** Records younger than this are never trimmed, milliseconds: a write in doubt is looked up among them. */
export const youngestTrimmedMs = 2 * duplicateWindowMs;

/** Unread messages of one type in one mailbox; more are refused. */
export const mailboxLimit = 10_000;

/** How long a mailbox waits for an acknowledgement before it delivers again, milliseconds. */
export const mailboxAckWaitMs = 10_000;

/** The configuration of every stream of a fabric. */
export function streamConfigs(ns: Namespace, options: StreamsOptions): StreamConfig[] {
  const common = {
    retention: RetentionPolicy.Limits,
    storage: options.storage === 'memory' ? StorageType.Memory : StorageType.File,
    num_replicas: options.replicas,
    max_msgs: -1,
    max_age: 0,
    max_msg_size: -1,
    max_consumers: -1,
    duplicate_window: nanos(duplicateWindowMs),
  };
  /** Refuses writes when full, keeps every message until it is trimmed, cannot be rolled up or deleted from. */
  const audited = {
    ...common,
    discard: DiscardPolicy.New,
    max_msgs_per_subject: -1,
    allow_direct: false,
    allow_rollup_hdrs: false,
    deny_delete: true,
    deny_purge: false,
  };
  const configs = [
    {
      ...audited,
      name: ns.actorsStream,
      subjects: [`$KV.${ns.actorsBucket}.>`],
      max_bytes: options.maxLogBytes,
      allow_atomic: true,
      republish: { src: `$KV.${ns.actorsBucket}.>`, dest: `${ns.root}.event.>` },
    },
    { ...audited, name: ns.busStream, subjects: [`$KV.${ns.busBucket}.>`], max_bytes: shares.bus, allow_atomic: true },
    { ...audited, name: ns.journalStream, subjects: [`${ns.root}.journal.>`], max_bytes: shares.journal },
    {
      ...common,
      name: ns.timersStream,
      subjects: [`${ns.root}.timer.>`, `${ns.root}.due.>`],
      discard: DiscardPolicy.Old,
      max_bytes: shares.timers,
      max_msgs_per_subject: -1,
      allow_rollup_hdrs: true,
      allow_msg_ttl: true,
      allow_msg_schedules: true,
    },
    {
      ...common,
      name: ns.inboxStream,
      subjects: [`${ns.root}.inbox.>`],
      // What is acknowledged is gone, so that the limits count what is unread.
      retention: RetentionPolicy.Workqueue,
      discard: DiscardPolicy.New,
      discard_new_per_subject: true,
      max_bytes: shares.inbox,
      max_msgs_per_subject: mailboxLimit,
    },
  ];
  return configs as unknown as StreamConfig[];
}

/** Creates what is missing; what exists keeps its configuration. @throws FabricError UNAVAILABLE */
export async function ensureStreams(jsm: JetStreamManager, ns: Namespace, options: StreamsOptions): Promise<void> {
  await Promise.all(streamConfigs(ns, options).map(async (config) => await ensureStream(jsm, config)));
}

async function ensureStream(jsm: JetStreamManager, config: StreamConfig): Promise<void> {
  await made(`the stream ${config.name}`, async () => {
    try {
      await jsm.streams.add(config);
    } catch (error) {
      // A single server adds up what is reserved before it looks whether this stream is there already.
      if (!(error instanceof JetStreamApiError) || !exceeded.has(error.code)) throw error;
      if ((await jsm.streams.info(config.name).catch(() => undefined)) === undefined) throw error;
    }
  });
}

/** Tries until the cluster takes it; what exists already, with whatever configuration, is left as it is. */
async function made(what: string, make: () => Promise<unknown>): Promise<void> {
  const until = Date.now() + 15_000;
  for (;;) {
    try {
      await make();
      return;
    } catch (error) {
      const isApi = error instanceof JetStreamApiError;
      if (isApi && nameInUse.has(error.code)) return;
      const isFinal = isApi ? error.status !== 503 && error.code !== notEnoughPeers : isClosed(error);
      if (isFinal || Date.now() >= until) {
        const why = error instanceof Error ? error.message : String(error);
        throw new FabricError('UNAVAILABLE', `${what} cannot be made: ${why}`, undefined, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** A stream, or a consumer, of this name exists with another configuration. */
const nameInUse: ReadonlySet<number> = new Set([10058, 10148]);
/** There is not enough memory, or disk, to reserve what a stream may take. */
const exceeded: ReadonlySet<number> = new Set([10028, 10047]);
/** Right after formation not every node is known to offer its memory yet. */
const notEnoughPeers = 10005;

/**
 * The consumer of a mailbox, of a swarm or of the operators: durable, made for its reader, who pulls from it and
 * acknowledges. Messages come oldest first; one that is not acknowledged comes again. @throws FabricError UNAVAILABLE
 */
export async function ensureMailbox(jsm: JetStreamManager, ns: Namespace, readerId: string): Promise<void> {
  await made(
    `the mailbox of ${readerId}`,
    async () =>
      await jsm.consumers.add(ns.inboxStream, {
        durable_name: ns.mailboxConsumer(readerId),
        filter_subject: ns.mailboxSubject(readerId, '>'),
        ack_policy: AckPolicy.Explicit,
        // Short: a message that left for a reader who was just gone comes again after this time.
        ack_wait: nanos(mailboxAckWaitMs),
        max_ack_pending: 256,
      }),
  );
}
