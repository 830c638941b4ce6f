/**
 * Small values beside the actors' log that decide something between processes, but are no transition of an actor: one
 * per kind and id, linearizable, changed by compare-and-swap, and gone by themselves after a while. They are not audited
 * and do not survive the loss of the whole cluster.
 */
import type { NatsConnection } from '@nats-io/nats-core';
import type { Json } from '../../machines/record.ts';
import type { Namespace } from '../namespace.ts';
import type { LeaderReadOptions } from './leader-read.ts';
import { SubjectHeads } from './subject-heads.ts';

export interface Registered {
  readonly value: Json;
  /** What a change compares. */
  readonly revision: number;
}

export interface Registers {
  /** Undefined when there is no value. @throws FabricError UNAVAILABLE */
  read(what: string, id: string): Promise<Registered | undefined>;

  /**
   * Changes the value if its revision is this one, or if there is none where it is 0; answers with the new revision, or
   * with undefined when someone else was faster. The value is gone after `keepMs` milliseconds, at the latest a second
   * and a half later. @throws FabricError UNAVAILABLE: it is not known whether the value was changed
   */
  change(what: string, id: string, value: Json, keepMs: number, expectedRevision: number): Promise<number | undefined>;
}

/** Kept in the stream of the timers, which has a rollup for each subject and lets messages end by themselves. */
export class NatsRegisters implements Registers {
  readonly #heads: SubjectHeads;
  readonly #namespace: Namespace;

  constructor(nc: NatsConnection, namespace: Namespace, options: LeaderReadOptions = {}) {
    this.#heads = new SubjectHeads(nc, namespace.timersStream, options);
    this.#namespace = namespace;
  }

  async read(what: string, id: string): Promise<Registered | undefined> {
    const head = await this.#heads.read(this.#namespace.timerSubject(what, id));
    const value = head?.body['value'] as Json | undefined;
    return head && { value: value ?? null, revision: head.revision };
  }

  async change(
    what: string,
    id: string,
    value: Json,
    keepMs: number,
    expectedRevision: number,
  ): Promise<number | undefined> {
    const ttl = `${Math.max(1, Math.ceil(keepMs / 1_000))}s`;
    const headers = { 'Nats-Rollup': 'sub', 'Nats-TTL': ttl };
    return await this.#heads.write(this.#namespace.timerSubject(what, id), { value }, headers, expectedRevision);
  }
}
