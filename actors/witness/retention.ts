/**
 * Trims the actors' log behind the witness. Actors that have ended are archived whole, after a retention time; of those
 * that live on, the last record stays. Nothing goes that the witness has not stored, and nothing young enough for a
 * writer to be still in doubt about it.
 */
import { DeliverPolicy, type JetStreamManager, type JsMsg, jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Log } from '../../src/log.ts';
import type { Namespace } from '../../src/namespace.ts';
import { Rounds } from '../../src/rounds.ts';
import { youngestTrimmedMs } from '../../src/store/streams.ts';
import { raiseTrimMark } from './trim-mark.ts';

export interface RetentionOptions {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly namespace: Namespace;
  readonly log: Log;
  /** How long an ended actor stays in the log, milliseconds; at least four minutes. */
  readonly archiveAfterMs: number;
  /** The last sequence of the actors' log that the witness has stored. */
  readonly stored: () => number;
  /** Milliseconds between two rounds. Default 10,000. */
  readonly everyMs?: number;
}

/** An actor that lives on is trimmed when so many of its records lie behind the last one. */
const historyKept = 64;
const mostPerRound = 10_000;

export class Retention {
  readonly #options: RetentionOptions;
  readonly #rounds: Rounds;
  /** Everything before this sequence has been looked at. */
  #next = 1;
  /** Actors that live on: how many of their records were passed since they were last trimmed. */
  readonly #passed = new Map<string, number>();

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#rounds = new Rounds(
      options.everyMs ?? 10_000,
      async (signal) => {
        while ((await this.round()) && !signal.aborted);
      },
      (error) => options.log.warn({ err: error }, 'the log was not trimmed; the next round goes on'),
    );
  }

  async stop(): Promise<void> {
    await this.#rounds.stop();
  }

  /** Looks at the next records that are old enough; says whether there may be more. */
  async round(now = Date.now()): Promise<boolean> {
    const { jsm, namespace, archiveAfterMs } = this.#options;
    const limit = this.#options.stored();
    const before = now - Math.max(archiveAfterMs, youngestTrimmedMs);
    const purges: Array<{ filter: string; seq: number }> = [];
    let last = this.#next - 1;
    const more = await this.#read(limit, before, (message) => {
      last = message.seq;
      const purge = this.#consider(message);
      if (purge) purges.push(purge);
    });
    if (purges.length > 0) {
      await raiseTrimMark(jsm, namespace.actorsStream, last);
      for (const { filter, seq } of purges) await jsm.streams.purge(namespace.actorsStream, { filter, seq });
    }
    this.#next = last + 1;
    return more;
  }

  #consider(message: JsMsg): { filter: string; seq: number } | undefined {
    const kind = message.headers?.get('IF-Kind');
    if (kind === undefined || kind === '') return undefined;
    if (isEnded(kind, message.headers?.get('IF-State') ?? '')) {
      this.#passed.delete(message.subject);
      return { filter: message.subject, seq: message.seq + 1 };
    }
    const passed = (this.#passed.get(message.subject) ?? 0) + 1;
    this.#passed.set(message.subject, passed % historyKept);
    // Purges what lies before this record; it may itself be the last one.
    return passed === historyKept ? { filter: message.subject, seq: message.seq } : undefined;
  }

  /** Reads headers from where the last round ended, up to a sequence and an age. */
  async #read(limit: number, before: number, onMessage: (message: JsMsg) => void): Promise<boolean> {
    if (this.#next > limit) return false;
    const { nc, namespace } = this.#options;
    const consumer = await jetstream(nc).consumers.get(namespace.actorsStream, {
      filter_subjects: [`$KV.${namespace.actorsBucket}.>`],
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: this.#next,
      headers_only: true,
    });
    try {
      const messages = await consumer.fetch({ max_messages: mostPerRound, expires: 1_000 });
      let count = 0;
      for await (const message of messages) {
        if (message.seq > limit || Date.parse(message.timestamp) >= before) {
          messages.stop();
          return false;
        }
        onMessage(message);
        count++;
      }
      return count === mostPerRound;
    } finally {
      await consumer.delete().catch(() => {});
    }
  }
}

const endedStates: Readonly<Record<string, ReadonlySet<string>>> = {
  task: new Set(['completed', 'failed', 'cancelled']),
  execution: new Set(['denied', 'succeeded', 'failed', 'timed_out', 'interrupted']),
  request: new Set(['denied', 'succeeded', 'failed', 'timed_out', 'interrupted']),
  blocker: new Set(['resolved']),
  approval: new Set(['approved', 'rejected', 'expired']),
};

function isEnded(kind: string, state: string): boolean {
  return endedStates[kind]?.has(state) ?? false;
}
