/** Histories for tests of replay: records as the machines make them, in a witness database of the test's own. */
import { type ActorMachine, decide, type MachineEvent } from '../../machines/machine.ts';
import type { ActorRecord, Snapshot } from '../../machines/record.ts';
import { machineOf } from '../../machines/registry.ts';
import { columns, storedValues } from '../../src/witness/columns.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { type Entry, type GapReason, zeroHash } from '../../src/witness/entry.ts';
import { RowHasher } from '../../src/witness/hash.ts';
import type { WitnessMessage } from '../../src/witness/message.ts';
import { claim, complete, create, t0 } from '../machines/task-events.ts';
import { actorMessage, epochMessage, startedAt } from './messages.ts';

export const firstChain = 'IF_actors/1';

/** Events of a task from its creation to its end. */
export const wholeLife = [create(), claim({ at: t0 + 1 }), complete({ at: t0 + 2 })] as const;

export class HistoryWriter {
  readonly #witness: WitnessDatabase;
  readonly #actors = new Map<string, { n: number; snapshot: Snapshot }>();
  #messages: WitnessMessage[] = [];
  #epoch = 1;
  #seq = 0;

  constructor(path: string) {
    this.#witness = WitnessDatabase.open(path);
    this.#open();
  }

  /** A witness that has nothing yet. */
  static empty(path: string): void {
    WitnessDatabase.open(path).close();
  }

  /** What the machine makes of an event; not written yet. */
  make(actor: string, event: MachineEvent, fields: Partial<ActorRecord> = {}): ActorRecord {
    const [kind = '', id = ''] = actor.split(':');
    const machine = machineOf(kind) as unknown as ActorMachine<unknown, MachineEvent>;
    const { n, snapshot } = this.#actors.get(actor) ?? { n: 0, snapshot: machine.absent };
    const verdict = decide(machine, snapshot, event);
    if (!verdict.accepted) throw new Error(verdict.refusal.message);
    this.#actors.set(actor, { n: n + 1, snapshot: verdict.snapshot });
    return {
      v: machine.version,
      kind,
      id,
      n: n + 1,
      event: { id: `event-${this.#seq}`, ...event },
      at: event.at,
      by: 'alpha',
      trace_id: 'trace-1',
      snapshot: verdict.snapshot,
      ...fields,
    };
  }

  /** Writes what the machine makes of an event. */
  act(actor: string, event: MachineEvent, fields: Partial<ActorRecord> = {}): void {
    this.put(this.make(actor, event, fields));
  }

  /** Writes any record; `time` is that of the server. */
  put(record: ActorRecord, time?: number): void {
    this.#seq += 1;
    this.#messages.push(actorMessage(this.#seq, record, time ?? startedAt + this.#seq));
  }

  /** The record is in the stream, and trimmed before the witness stores it. */
  leaveOut(_record: ActorRecord): void {
    this.#seq += 1;
  }

  /** The actor is archived: its next event begins anew. */
  forget(actor: string): void {
    this.#actors.delete(actor);
  }

  store(reason: GapReason = 'lost'): void {
    this.#witness.appendBatch(this.chain, this.#messages, () => reason);
    this.#messages = [];
  }

  /** The log was lost; a new epoch begins. */
  nextEpoch(): void {
    this.store();
    this.#epoch += 1;
    this.#open();
  }

  get sqlite(): WitnessDatabase['sqlite'] {
    return this.#witness.sqlite;
  }

  get chain(): string {
    return `IF_actors/${this.#epoch}`;
  }

  /** The event that takes the actor over into this epoch. */
  restore(actor: string, at: number, fields: Record<string, unknown> = {}): void {
    const [kind, id] = actor.split(':');
    const last = this.#witness.sqlite
      .prepare<unknown[], Entry>('SELECT * FROM entries WHERE kind = ? AND actor_id = ? ORDER BY rowid DESC LIMIT 1')
      .get(kind, id);
    const { chain, seq, content_hash } = last ?? {};
    const event = { type: 'RESTORED', at, epoch: this.#epoch, chain, seq, content_hash, ...fields };
    this.act(actor, event as MachineEvent);
  }

  close(): void {
    if (!this.#witness.sqlite.open) return;
    this.store();
    this.#witness.close();
  }

  #open(): void {
    const before = this.#epoch === 1 ? undefined : this.#witness.head(`IF_actors/${this.#epoch - 1}`);
    this.#messages = [epochMessage(this.#epoch, before?.head_hash ?? zeroHash)];
    this.#seq = 1;
  }
}

/** A change of the entry `seq`, with its hash made anew unless it says otherwise; or any statement. */
export type Alteration =
  | { readonly seq: number; readonly alter: (entry: Entry) => Partial<Entry>; readonly isRehashed?: boolean }
  | { readonly sql: string };

/** Changes a witness as someone would who knows the rule; the chain behind it is broken, as verification would find. */
export function alter(path: string, alteration: Alteration): void {
  const { sqlite } = WitnessDatabase.open(path);
  if ('sql' in alteration) sqlite.exec(alteration.sql);
  else {
    const { seq, isRehashed = true } = alteration;
    const entry = sqlite.prepare<[number], Entry>('SELECT * FROM entries WHERE seq = ?').get(seq);
    if (!entry) throw new Error(`there is no entry ${seq}`);
    const altered = { ...entry, ...alteration.alter(entry) };
    const content_hash = isRehashed ? new RowHasher().hash(storedValues(altered)) : altered.content_hash;
    const set = columns.map(({ name }) => `${name} = ?`).join(', ');
    sqlite.prepare(`UPDATE entries SET ${set} WHERE seq = ?`).run(...storedValues(altered), content_hash, seq);
  }
  sqlite.close();
}

/** The payload with some of its values replaced. */
export function inPayload(replace: (record: ActorRecord) => unknown): (entry: Entry) => Partial<Entry> {
  return ({ payload }) => ({ payload: JSON.stringify(replace(JSON.parse(payload) as ActorRecord)) });
}
