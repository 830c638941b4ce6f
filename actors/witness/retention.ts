/**
 * Trims the actors' log behind the witness. Actors that have ended are archived whole, after a retention time; of those
 * that live on, the last record stays. Nothing goes that the witness has not stored, nothing young enough for a writer
 * to be still in doubt about it, and no task that one which has not ended depends on.
 */
import type { JetStreamManager, JsMsg } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import type { Log } from '../../src/log.ts';
import type { Namespace } from '../../src/namespace.ts';
import { Rounds } from '../../src/rounds.ts';
import { youngestTrimmedMs } from '../../src/store/streams.ts';
import { readHeaders } from './log-headers.ts';
import { NeededTasks } from './needed-tasks.ts';
import { raiseTrimMark } from './trim-mark.ts';

export interface RetentionOptions {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly namespace: Namespace;
  readonly log: Log;
  /** How long an ended actor stays in the log, milliseconds; at least four minutes. */
  readonly archiveAfterMs: number;
  /** The last sequence of the actors' log that every witness has stored; 0 when this one is not to trim. */
  readonly stored: () => number | Promise<number>;
  /** Milliseconds between two rounds. Default 10,000. */
  readonly everyMs?: number;
}

/** An actor that lives on is trimmed at each of its transitions whose number this divides. */
const historyKept = 64;
/** Purges at the same time: one after the other they would fall behind, where many others write. */
const purgedAtOnce = 16;
/** After so many purges it is asked again which tasks are needed: a task may be created at any time. */
const purgesPerLook = 64;
/**
 * How much longer an ended actor stays than its retention time, milliseconds. What has ended longer ago than that time is
 * not accepted as a dependency; a creation that saw it in time has been committed by the end of this.
 */
const creationMs = 30_000;

interface Purge {
  readonly filter: string;
  /** Everything before it goes. */
  readonly seq: number;
  /** Of a task that has ended. */
  readonly task_id?: string;
}

export class Retention {
  readonly #options: RetentionOptions;
  readonly #rounds: Rounds;
  /** Everything before this sequence has been looked at. */
  #next = 1;
  readonly #needed: NeededTasks;
  /** The subjects of all tasks begin with it. */
  readonly #taskPrefix: string;
  /** Tasks that have ended and are old enough, but are needed; by id. */
  readonly #postponed = new Map<string, Purge>();

  constructor(options: RetentionOptions) {
    this.#options = options;
    this.#needed = new NeededTasks(options);
    this.#taskPrefix = `$KV.${options.namespace.actorsBucket}.task.`;
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
    const limit = await this.#options.stored();
    const before = now - Math.max(archiveAfterMs, youngestTrimmedMs) - creationMs;
    const purges: Purge[] = [];
    let last = this.#next - 1;
    const more = await this.#read(limit, before, (message) => {
      last = message.seq;
      const purge = this.#consider(message);
      if (purge) purges.push(purge);
    });
    if (this.#postponed.size > 0) await this.#needed.catchUp();
    for (const [task_id, purge] of this.#postponed) if (!this.#needed.has(task_id)) purges.push(purge);
    if (purges.length > 0) {
      await raiseTrimMark(jsm, namespace.actorsStream, last);
      for (let from = 0; from < purges.length; from += purgesPerLook)
        await this.#purge(purges.slice(from, from + purgesPerLook));
    }
    this.#next = last + 1;
    return more;
  }

  async #purge(purges: readonly Purge[]): Promise<void> {
    const { jsm, namespace } = this.#options;
    if (purges.some(({ task_id }) => task_id !== undefined)) await this.#needed.catchUp();
    const purgeOne = async (purge: Purge) => {
      const { task_id, filter, seq } = purge;
      if (task_id !== undefined && this.#needed.has(task_id)) {
        this.#postponed.set(task_id, purge);
        return;
      }
      await jsm.streams.purge(namespace.actorsStream, { filter, seq });
      if (task_id !== undefined) this.#postponed.delete(task_id);
    };
    for (let from = 0; from < purges.length; from += purgedAtOnce)
      await Promise.all(purges.slice(from, from + purgedAtOnce).map(purgeOne));
  }

  #consider(message: JsMsg): Purge | undefined {
    const kind = message.headers?.get('IF-Kind');
    if (kind === undefined || kind === '') return undefined;
    if (isEnded(kind, message.headers?.get('IF-State') ?? '')) {
      const purge = { filter: message.subject, seq: message.seq + 1 };
      return kind === 'task' ? { ...purge, task_id: message.subject.slice(this.#taskPrefix.length) } : purge;
    }
    const n = Number(message.headers?.get('IF-N'));
    // Purges what lies before this record; it may itself be the last one.
    return n > 0 && n % historyKept === 0 ? { filter: message.subject, seq: message.seq } : undefined;
  }

  /** Reads headers from where the last round ended, up to a sequence and an age. */
  async #read(limit: number, before: number, onMessage: (message: JsMsg) => void): Promise<boolean> {
    if (this.#next > limit) return false;
    const { nc, namespace } = this.#options;
    const subject = `$KV.${namespace.actorsBucket}.>`;
    return await readHeaders(nc, { stream: namespace.actorsStream, subject, from: this.#next }, (message) => {
      if (message.seq > limit || Date.parse(message.timestamp) >= before) return false;
      onMessage(message);
      return true;
    });
  }
}

/**
 * A semaphore that nobody holds says nothing that one without records does not say, so it goes like an actor that has
 * ended, although it may be taken again: records after the one that is purged stay. Where none are left, the next ACQUIRE
 * begins again with n = 1; a process that still knows the purged record is told of a conflict, because its revision is
 * not the last one any more, and reads again.
 */
const endedStates: Readonly<Record<string, ReadonlySet<string>>> = {
  task: new Set(['completed', 'failed', 'cancelled']),
  execution: new Set(['denied', 'succeeded', 'failed', 'timed_out', 'interrupted']),
  request: new Set(['denied', 'succeeded', 'failed', 'timed_out', 'interrupted']),
  blocker: new Set(['resolved']),
  semaphore: new Set(['free']),
  approval: new Set(['approved', 'rejected', 'expired']),
};

function isEnded(kind: string, state: string): boolean {
  return endedStates[kind]?.has(state) ?? false;
}
