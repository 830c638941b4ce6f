/** Entries of the journal: one message each, under the name of who the bus says wrote it; audited, never dropped. */
import { headers, type NatsConnection } from '@nats-io/nats-core';
import type { Json } from '../../machines/record.ts';
import { publishStored } from '../bus/stored-publish.ts';
import { packBytes } from '../data/codec.ts';
import { FabricError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import type { Epoch } from '../witness/epoch.ts';
import type { AuditGate } from './audit-gate.ts';
import { EpochGate } from './epoch-gate.ts';

export interface JournalEntry {
  /** Makes the entry idempotent for its writer, within two minutes. */
  readonly id: string;
  /** A swarm id, `operator`, or a service as `IF.<name>`. */
  readonly by: string;
  readonly at: number;
  readonly event: string;
  readonly component: string;
  readonly trace_id: string;
  readonly payload: Json;
  readonly cost?: Json;
}

const deadlineMs = 15_000;

export class Journal {
  readonly #nc: NatsConnection;
  readonly #namespace: Namespace;
  readonly #gate: AuditGate | undefined;
  readonly #epoch: EpochGate | undefined;

  /**
   * With a gate, nothing is written while the fabric is unaudited; with an epoch, nothing into a log of another one.
   */
  constructor(nc: NatsConnection, namespace: Namespace, gate?: AuditGate, epoch?: Epoch) {
    this.#nc = nc;
    this.#namespace = namespace;
    this.#gate = gate;
    this.#epoch = epoch && new EpochGate(nc, namespace, epoch);
  }

  /** The sequence of the entry. @throws FabricError UNAVAILABLE, RATE_LIMITED */
  async write(entry: JournalEntry): Promise<number> {
    this.#gate?.requireAudited();
    const h = headers();
    h.set('Nats-Msg-Id', `${entry.by}:${entry.id}`);
    h.set('IF-By', entry.by);
    h.set('IF-Event', entry.event);
    const stored = await publishStored(this.#nc, this.#namespace.journalSubject(entry.by), packBytes(entry), {
      headers: h,
      deadline: Date.now() + deadlineMs,
      what: 'the entry of the journal',
      permitted: async (timeoutMs) => await this.#epoch?.opened(timeoutMs),
    });
    if ('refused' in stored) throw new FabricError('RATE_LIMITED', 'the journal is full; nothing was written');
    return stored.seq;
  }
}
