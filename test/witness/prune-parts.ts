/** A witness whose history is made by hand, for tests of pruning: each record one second after the one before. */
import { join } from 'node:path';
import type { ActorRecord, Json } from '../../machines/record.ts';
import { encodeBody } from '../../src/data/codec.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import type { Entry } from '../../src/witness/entry.ts';
import { makeEpochRecord } from '../../src/witness/epoch.ts';
import type { WitnessMessage } from '../../src/witness/message.ts';
import { issueCheckpoint, type SignedHead } from '../../src/witness/proofs/checkpoint.ts';
import {
  openSigningKey,
  type SigningKey,
  type TrustedKeys,
  trustedKeysOf,
} from '../../src/witness/proofs/signing-key.ts';
import { openTree } from '../../src/witness/proofs/tree.ts';
import { keptEntries } from '../../src/witness/prune/kept.ts';
import { type PrunedChain, prune } from '../../src/witness/prune/prune.ts';
import { tempDir } from '../support/temp.ts';
import { actorMessage, actors, busMessage, journalMessage, startedAt } from './messages.ts';

export interface Step {
  readonly kind: string;
  readonly id: string;
  readonly status?: 'active' | 'done';
  readonly value?: string;
  readonly context?: { [key: string]: Json };
}

/** Long after the history, milliseconds since 1970. */
export const longAfter = startedAt + 86_400_000;
export const timeOf = (seq: number) => startedAt + seq * 1_000;

export class PrunedWitness {
  readonly database: WitnessDatabase;
  readonly path: string;
  readonly key: SigningKey;
  readonly trusted: TrustedKeys;
  readonly folder: Awaited<ReturnType<typeof tempDir>>;
  readonly #counts = new Map<string, number>();
  readonly #seqs = new Map<string, number>();

  private constructor(folder: PrunedWitness['folder'], key: SigningKey) {
    this.folder = folder;
    this.path = join(folder.path, 'witness.db');
    this.database = WitnessDatabase.open(this.path);
    this.key = key;
    this.trusted = trustedKeysOf(folder.path) as TrustedKeys;
  }

  static async open(): Promise<PrunedWitness> {
    const folder = await tempDir();
    return new PrunedWitness(folder, await openSigningKey(folder.path));
  }

  get sqlite(): WitnessDatabase['sqlite'] {
    return this.database.sqlite;
  }

  async close(): Promise<void> {
    this.database.close();
    await this.folder.remove();
  }

  /** Adds records of actors; gives the last sequence number. */
  add(steps: readonly Step[], chain = actors): number {
    return this.append(
      chain,
      steps.map((step) => (seq) => actorMessage(seq, this.#record(step, seq), timeOf(seq))),
    );
  }

  addKeys(changes: ReadonlyArray<{ key: string; deleted?: boolean }>): number {
    return this.append(
      'IF_bus/1',
      changes.map(({ key, deleted = false }) => (seq) => ({
        ...busMessage(
          seq,
          key,
          deleted ? new Uint8Array() : encodeBody(seq, 'json'),
          deleted ? { 'KV-Operation': 'DEL' } : {},
        ),
        time_ms: timeOf(seq),
      })),
    );
  }

  addSaid(count: number): number {
    const said = (seq: number) => ({
      ...journalMessage(seq, { event: 'SAID', component: 'a', by: 'b', id: `j-${seq}` }),
      time_ms: timeOf(seq),
    });
    return this.append(
      'IF_journal/1',
      Array.from({ length: count }, () => said),
    );
  }

  /** Opens the epoch after another; with the event of its second record, if it has one. */
  openEpoch(epoch: number, second?: { type: string; [field: string]: Json }): void {
    const before = openTree(this.sqlite, `IF_actors/${epoch - 1}`)?.head();
    const record = makeEpochRecord(
      { epoch, epoch_id: `id-${epoch}`, previous_head: before?.head_hash ?? '' },
      startedAt,
    );
    const records = second ? [record, { ...record, n: 2, event: { id: `second-${epoch}`, ...second } }] : [record];
    this.append(
      `IF_actors/${epoch}`,
      records.map((each) => (seq) => actorMessage(seq, each, timeOf(seq))),
    );
  }

  append(chain: string, makers: ReadonlyArray<(seq: number) => WitnessMessage>): number {
    const first = (this.#seqs.get(chain) ?? 0) + 1;
    const last = first + makers.length - 1;
    this.#seqs.set(chain, last);
    this.database.appendBatch(
      chain,
      makers.map((make, at) => make(first + at)),
      () => 'trimmed',
    );
    return last;
  }

  checkpoint(now = longAfter): readonly SignedHead[] {
    return issueCheckpoint(this.sqlite, this.key, now).chains;
  }

  prune(
    before: number,
    options: { now?: number; per_step?: number; archive_after_ms?: number; key?: SigningKey } = {},
  ): PrunedChain[] {
    const { key, trusted } = this;
    return prune(this.sqlite, { before, now: longAfter, key, trusted, archive_after_ms: 0, ...options });
  }

  kept(): string[] {
    return [...keptEntries(this.sqlite)].map(({ kind, actor_id, n }) => `${kind}:${actor_id}@${n}`).sort();
  }

  rows(chain = actors): Entry[] {
    return this.sqlite.prepare<[string], Entry>('SELECT * FROM entries WHERE chain = ? ORDER BY seq').all(chain);
  }

  #record({ kind, id, status = 'active', value = 'available', context = {} }: Step, seq: number): ActorRecord {
    const n = (this.#counts.get(`${kind}:${id}`) ?? 0) + 1;
    this.#counts.set(`${kind}:${id}`, n);
    const event = { id: `e-${kind}-${id}-${n}`, type: n === 1 ? 'CREATE' : 'CLAIM' };
    const snapshot = { status, value, context };
    return { v: 1, kind, id, n, event, at: timeOf(seq), by: 'alpha', trace_id: 't', snapshot };
  }
}
