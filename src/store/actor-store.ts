/**
 * The actor store: every change of every actor goes through `transact`. A plan looks at actors and proposes events; the
 * machines decide; the new records are committed at once with compare-and-swap. When someone else was faster, the plan
 * runs again on what is there now: "someone else wrote" is not "I lost".
 *
 * Guarantees: a commit rests on the last records of the actors that it changes; a refusal, or an answer that changes
 * nothing, rests on records that the log's leader confirmed during the call, and of several actors on one moment; facts about further actors are at most
 * `factMaxAgeMs` old. A change is never reported as failed when it took effect, nor applied twice.
 */
import { type ActorRef, formatRef } from '../../machines/address.ts';
import { type ActorMachine, type AnyMachine, decide, type MachineEvent } from '../../machines/machine.ts';
import type { ActorRecord } from '../../machines/record.ts';
import { type Backoff, backOff } from '../backoff.ts';
import type { Clock } from '../clock.ts';
import { FabricError } from '../errors.ts';
import { type ActorState, Reading } from './reading.ts';
import type { RecordLog, StoredRecord, Write } from './record-log.ts';
import { Residents } from './residents.ts';

/** An event for one actor; the store adds the event's id, and the time where the event has none (`at`). */
export interface Send {
  readonly machine: AnyMachine;
  readonly id: string;
  readonly event: { readonly type: string; readonly [field: string]: unknown };
  /** The trace that the record belongs to, where it is not the cause's. */
  readonly trace_id?: string;
}

/** What a plan proposes: events to commit, then the answer made of the new records; or an answer that changes nothing. */
export type Proposal<Answer> =
  | { readonly send: readonly Send[]; readonly answer: (committed: readonly StoredRecord[]) => Answer }
  | { readonly send?: never; readonly answer: Answer };

export interface PlanView {
  readonly get: Reading['get'];
  readonly confirm: Reading['confirm'];
  readonly presumeAbsent: Reading['presumeAbsent'];
  /** The time of the decision, milliseconds since 1970; events carry it as `at`. */
  readonly now: number;
}

/** Pure but for reading through the view: it runs again after a conflict. It refuses by throwing a FabricError. */
export type Plan<Answer> = (view: PlanView) => Promise<Proposal<Answer>> | Proposal<Answer>;

/** On whose behalf a transaction runs; becomes part of each record. */
export interface Cause {
  /** A swarm id, `operator`, or a service as `IF.<name>`. */
  readonly by: string;
  readonly trace_id: string;
}

export interface ActorStoreOptions {
  readonly log: RecordLog;
  readonly clock: Clock;
  /** A new unique id: `[A-Za-z0-9_-]+`. */
  readonly newId: () => string;
  /** Actors kept in memory. Default 10,000. */
  readonly maxResidents?: number;
  /** How old a fact about an actor that a commit does not change may be, milliseconds. Default 250. */
  readonly factMaxAgeMs?: number;
  /** How long a transaction goes on in the face of conflicts and silence, milliseconds. Default 20,000. */
  readonly deadlineMs?: number;
  /** Called after each commit, before its answer is given; what it does must not be needed for correctness. */
  readonly onCommit?: (records: readonly StoredRecord[]) => void;
}

/**
 * How often a refusal is looked at again because an actor that it rests on has changed meanwhile. Of actors that change
 * all the time it then says what the leader said of each.
 */
const mostViews = 20;
const afterConflict: Backoff = { first: 1, max: 50 };

export class ActorStore {
  readonly residents: Residents;
  readonly #options: ActorStoreOptions;
  readonly #factMaxAgeMs: number;
  readonly #deadlineMs: number;
  readonly #refreshing = new Map<string, Promise<void>>();

  constructor(options: ActorStoreOptions) {
    this.#options = options;
    this.residents = new Residents(options.maxResidents ?? 10_000);
    this.#factMaxAgeMs = options.factMaxAgeMs ?? 250;
    this.#deadlineMs = options.deadlineMs ?? 20_000;
  }

  /**
   * One event for one actor; answers with its new record.
   * @throws FabricError the machine's refusal, or as `transact`
   */
  async dispatch(machine: AnyMachine, id: string, event: Send['event'], cause: Cause): Promise<StoredRecord> {
    return await this.transact(cause, () => ({ send: [{ machine, id, event }], answer: ([record]) => record! }));
  }

  /** The actor's last record, linearizable; undefined when it has none. @throws FabricError UNAVAILABLE */
  async read(ref: ActorRef): Promise<StoredRecord | undefined> {
    const askedAt = this.#options.clock.now();
    const stored = await this.#options.log.read(ref);
    if (stored) this.residents.put(stored, askedAt);
    else this.residents.drop(ref);
    return stored;
  }

  /** Takes in a record that was seen in the log: a later commit of its actor then needs no read first. */
  learn(stored: StoredRecord): void {
    // When it was the last one is not known, so it is no fact about an actor that a commit does not change.
    this.residents.put(stored, 0);
  }

  /**
   * Runs a plan until it is committed, answered or refused.
   * @throws FabricError what the plan or a machine refused with; CONFLICT when contention did not end (nothing was
   *   changed); UNAVAILABLE, RATE_LIMITED, PAYLOAD_TOO_LARGE of the log
   */
  async transact<Answer>(cause: Cause, plan: Plan<Answer>): Promise<Answer> {
    const deadline = Date.now() + this.#deadlineMs;
    const eventId = this.#options.newId();
    // What an attempt knew too little of, all further ones ask the leader for: each attempt knows more than the last.
    const distrusted = new Set<string>();
    const begunAt = this.#options.clock.now();
    let before: ReadonlyMap<string, number> = new Map();
    for (let attempt = 0, conflicts = 0; ; attempt++) {
      const known = { distrusted, before: attempt < mostViews ? before : undefined, first: attempt === 0 };
      const step = await this.#attempt(cause, plan, { eventId, deadline, begunAt, ...known });
      if (step.done) return step.answer;
      before = step.revisions;
      if (Date.now() >= deadline) throw this.#tooBusy(step.stale);
      if (step.conflict && conflicts++ > 1) await backOff(afterConflict, conflicts - 2);
      for (const ref of step.stale) distrusted.add(formatRef(ref));
    }
  }

  #tooBusy(actors: readonly ActorRef[]): FabricError {
    const names = actors.slice(0, 3).map(formatRef).join(', ');
    return new FabricError(
      'CONFLICT',
      `${names} changed too often to commit in ${this.#deadlineMs} ms; nothing was changed, repeat the request`,
    );
  }

  async #attempt<Answer>(
    cause: Cause,
    plan: Plan<Answer>,
    { eventId, deadline, begunAt, distrusted, before, first }: Attempt,
  ): Promise<Step<Answer>> {
    const { log, clock } = this.#options;
    const now = clock.now();
    const reading = new Reading({
      log,
      residents: this.residents,
      now: () => clock.now(),
      mayPresume: first,
      distrusted,
    });
    const view: PlanView = {
      get: reading.get.bind(reading),
      confirm: reading.confirm.bind(reading),
      presumeAbsent: reading.presumeAbsent.bind(reading),
      now,
    };
    let proposal: Proposal<Answer>;
    let writes: Write[] = [];
    try {
      proposal = await plan(view);
      if (proposal.send) writes = await this.#decideAll(proposal.send, view, cause, eventId);
    } catch (error) {
      // A refusal counts only when it rests on what is in the log, not on what was there a moment ago, nor on one actor
      // before and another after a commit that changed both.
      const stale = error instanceof FabricError ? reading.unsettled(before) : [];
      if (stale.length === 0) throw error;
      return { done: false, conflict: false, stale, revisions: reading.revisions() };
    }
    if (!proposal.send) {
      const stale = reading.unsettled(before);
      if (stale.length === 0) return { done: true, answer: proposal.answer };
      return { done: false, conflict: false, stale, revisions: reading.revisions() };
    }
    const changed = new Set(writes.map(({ record }) => formatRef(record)));
    // What was verified since the transaction began is new enough, however slow the log is.
    const aged = reading.olderThan(Math.min(now - this.#factMaxAgeMs, begunAt), changed);
    if (aged.length > 0) {
      await Promise.all(aged.map(async (ref) => await this.#refresh(ref)));
      return { done: false, conflict: false, stale: [], revisions: reading.revisions() };
    }
    // Ahead of time, so that a busy actor's facts never make anyone wait.
    for (const ref of reading.olderThan(now - this.#factMaxAgeMs / 2, changed)) this.#refresh(ref).catch(() => {});

    const committed = await this.#commit(writes, deadline);
    if (!committed) {
      const stale = writes.map(({ record }) => record);
      return { done: false, conflict: true, stale, revisions: reading.revisions() };
    }
    return { done: true, answer: proposal.answer(committed) };
  }

  /** Brings a fact up to date; those who ask meanwhile share the answer. */
  async #refresh(ref: ActorRef): Promise<void> {
    const key = formatRef(ref);
    const present = this.#refreshing.get(key);
    if (present) return await present;
    const refreshing = this.read(ref)
      .then(() => {})
      .finally(() => this.#refreshing.delete(key));
    this.#refreshing.set(key, refreshing);
    await refreshing;
  }

  /** Folds the events in order; several events of one actor build on each other. */
  async #decideAll(sends: readonly Send[], view: PlanView, cause: Cause, eventId: string): Promise<Write[]> {
    const folded = new Map<string, ActorState>();
    const writes: Write[] = [];
    for (const [i, { machine, id, event, trace_id }] of sends.entries()) {
      const ref = { kind: machine.kind, id };
      const key = formatRef(ref);
      const state = folded.get(key) ?? (await view.get(machine, id));
      const offered = { at: view.now, ...event };
      const verdict = decide(machine as unknown as ActorMachine<unknown, MachineEvent>, state.snapshot, offered);
      if (!verdict.accepted) throw FabricError.refused(verdict.refusal);
      const record: ActorRecord = {
        v: machine.version,
        kind: ref.kind,
        id,
        n: state.n + 1,
        event: { id: i === 0 ? eventId : `${eventId}-${i}`, ...offered },
        at: view.now,
        by: cause.by,
        trace_id: trace_id ?? cause.trace_id,
        snapshot: verdict.snapshot,
      };
      folded.set(key, { ...state, n: record.n, snapshot: record.snapshot });
      writes.push({ record, expected: state.revision });
    }
    return writes;
  }

  async #commit(writes: readonly Write[], deadline: number): Promise<StoredRecord[] | undefined> {
    let appended: Awaited<ReturnType<RecordLog['append']>>;
    // What is committed was the last record at some time after this; someone else may write before the answer arrives.
    const verifiedAt = this.#options.clock.now();
    try {
      appended = await this.#options.log.append(writes, deadline);
    } catch (error) {
      for (const { record } of writes) this.residents.drop(record);
      throw error;
    }
    if (!appended.committed) return undefined;
    const { revisions } = appended;
    const committed = writes.map(({ record }, i) => ({ record, revision: revisions[i]! }));
    for (const stored of committed) this.residents.put(stored, verifiedAt);
    this.#options.onCommit?.(committed);
    return committed;
  }
}

interface Attempt {
  readonly eventId: string;
  readonly deadline: number;
  /** When the transaction began, by the store's clock. */
  readonly begunAt: number;
  /** The first attempt may presume that an actor is absent. */
  readonly first: boolean;
  /** Actors that are read from the leader, whatever is resident. */
  readonly distrusted: ReadonlySet<string>;
  /** The revisions that the attempt before this one saw; undefined: they do not matter. */
  readonly before: ReadonlyMap<string, number> | undefined;
}

type Step<Answer> =
  | { readonly done: true; readonly answer: Answer }
  | {
      readonly done: false;
      readonly conflict: boolean;
      readonly stale: readonly ActorRef[];
      readonly revisions: ReadonlyMap<string, number>;
    };
