/**
 * Which tasks are needed although they may have ended: those that a task which has not ended depends on. Its owner is
 * handed their results, and a waiting one is told of their end. Kept by reading the headers of the tasks' records, and of
 * each open task that has dependencies one body: what a task depends on never changes.
 */
import type { JetStreamManager, JsMsg } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import { finalStates, type TaskContext } from '../../machines/task/context.ts';
import type { Namespace } from '../../src/namespace.ts';
import { StreamReader } from '../../src/store/stream-reader.ts';
import { readHeaders } from './log-headers.ts';

/** Set on the records of tasks that depend on others. */
const dependsHeader = 'IF-Depends';

/** How many bodies are read at the same time; each may have up to 4 MiB. */
const readAtOnce = 16;

export class NeededTasks {
  readonly #nc: NatsConnection;
  readonly #jsm: JetStreamManager;
  readonly #reader: StreamReader;
  readonly #stream: string;
  /** The subjects of all tasks begin with it. */
  readonly #prefix: string;
  /** What each open task depends on. */
  readonly #open = new Map<string, readonly string[]>();
  /** Open tasks of which no body was read yet, with the sequence of one. */
  readonly #unread = new Map<string, number>();
  /** How many open tasks depend on each. */
  readonly #needed = new Map<string, number>();
  #next = 1;

  constructor({ nc, jsm, namespace }: { nc: NatsConnection; jsm: JetStreamManager; namespace: Namespace }) {
    this.#nc = nc;
    this.#jsm = jsm;
    this.#stream = namespace.actorsStream;
    this.#reader = new StreamReader(nc, this.#stream);
    this.#prefix = `$KV.${namespace.actorsBucket}.task.`;
  }

  has(task_id: string): boolean {
    return this.#needed.has(task_id);
  }

  /** Takes in every record that is in the log by now. The first time that is the whole log. */
  async catchUp(): Promise<void> {
    const { last_seq } = (await this.#jsm.streams.info(this.#stream)).state;
    while (this.#next <= last_seq && (await this.#readHeaders()));
    this.#next = Math.max(this.#next, last_seq + 1);
    await this.#readBodies();
  }

  /** Says whether there is more. */
  async #readHeaders(): Promise<boolean> {
    const range = { stream: this.#stream, subject: `${this.#prefix}>`, from: this.#next };
    return await readHeaders(this.#nc, range, (message) => {
      this.#see(message);
      this.#next = message.seq + 1;
      return true;
    });
  }

  #see({ subject, seq, headers }: JsMsg): void {
    const task_id = subject.slice(this.#prefix.length);
    if ((finalStates as readonly string[]).includes(headers?.get('IF-State') ?? '')) this.#ended(task_id);
    else if (headers?.has(dependsHeader) && !this.#open.has(task_id)) this.#unread.set(task_id, seq);
  }

  #ended(task_id: string): void {
    this.#unread.delete(task_id);
    for (const dependency of this.#open.get(task_id) ?? []) {
      const left = this.#needed.get(dependency)! - 1;
      if (left === 0) this.#needed.delete(dependency);
      else this.#needed.set(dependency, left);
    }
    this.#open.delete(task_id);
  }

  async #readBodies(): Promise<void> {
    const unread = [...this.#unread];
    for (let from = 0; from < unread.length; from += readAtOnce)
      await Promise.all(unread.slice(from, from + readAtOnce).map(async ([id, seq]) => await this.#readBody(id, seq)));
  }

  async #readBody(task_id: string, seq: number): Promise<void> {
    // Where that record was trimmed meanwhile, the next one says the same.
    const stored = await this.#reader.next(`${this.#prefix}${task_id}`, seq);
    this.#unread.delete(task_id);
    if (!stored) return;
    const dependencies = new Set((stored.record.snapshot.context as TaskContext).depends_on);
    this.#open.set(task_id, [...dependencies]);
    for (const dependency of dependencies) this.#needed.set(dependency, (this.#needed.get(dependency) ?? 0) + 1);
  }
}
