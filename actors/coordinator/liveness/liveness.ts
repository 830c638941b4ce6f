/**
 * Which swarms are alive. A swarm that sends no request for `liveness_ms` is offline and its tasks go back at once; its next
 * request brings it online before anything else is done with it. No swarm is declared offline early: not by a timer that is
 * late or stale, not because a coordinator was away, nor while this process has heard of it. Only registered swarms count.
 */
import type { SwarmContext, SwarmState } from '../../../machines/swarm/context.ts';
import { swarmMachine } from '../../../machines/swarm/machine.ts';
import type { Clock } from '../../../src/clock.ts';
import type { Log } from '../../../src/log.ts';
import type { ActorStore, PlanView, Proposal } from '../../../src/store/actor-store.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import type { Timer, Timers } from '../../../src/store/timers.ts';
import { RecentRevisions } from '../recent-revisions.ts';
import { livenessTimer, SignsOfLife } from './signs-of-life.ts';

/** What liveness needs of the tasks. */
export interface LivenessTasks {
  /** Everyone who owns a task now, as far as is known. */
  owners(): Iterable<string>;
  /** Ids of the tasks that a swarm owns. @throws FabricError UNAVAILABLE */
  ownedBy(swarm_id: string): Promise<readonly string[]>;
  /** Takes a task from an owner who is not there; does nothing when it is, or owns it no more. @throws FabricError */
  ownerLost(task_id: string, owner: string, reason: 'offline' | 'unregistered'): Promise<unknown>;
}

export interface LivenessOptions {
  readonly store: ActorStore;
  readonly tasks: LivenessTasks;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly log: Log;
  /** Milliseconds without a request after which a swarm is offline. */
  readonly livenessMs: number;
}

interface Known {
  readonly online: boolean;
  readonly revision: number;
  /** When the sweep looks whether its timer waits, milliseconds since 1970. */
  checkAt: number;
}

/** A timer that is handled so late says more about the fabric than about the swarm, which could not be heard; milliseconds. */
const lateMs = 2_000;
const mostPerSweep = 500;
const returnedAtOnce = 8;
const by = 'IF.coordinator';

export class Liveness {
  readonly #options: LivenessOptions;
  readonly #signs: SignsOfLife;
  /** The registered swarms. */
  readonly #known = new Map<string, Known>();
  readonly #gone = new RecentRevisions();
  readonly #reviving = new Map<string, Promise<void>>();

  constructor(options: LivenessOptions) {
    this.#options = options;
    this.#signs = new SignsOfLife(options);
  }

  /** A request of anyone. What is returned, if anything, is to be awaited before the request is acted on; it never rejects. */
  onCaller(caller: string): Promise<void> | undefined {
    const known = this.#known.get(caller);
    if (!known) return undefined;
    this.#signs.seen(caller);
    return known.online ? undefined : this.#revive(caller);
  }

  /** Takes in any record, of this process or of another. */
  apply(stored: StoredRecord): void {
    const { record, revision } = stored;
    if (record.kind !== swarmMachine.kind) return;
    const { id } = record;
    const present = this.#known.get(id);
    if (present ? present.revision >= revision : this.#gone.covers(id, revision)) return;
    const { registration, liveness } = record.snapshot.value as SwarmState;
    if (registration !== 'registered') {
      if (this.#known.delete(id)) this.#gone.note(id, revision);
      this.#signs.forget(id);
      return;
    }
    const online = liveness === 'online';
    const now = this.#options.clock.now();
    this.#known.set(id, { online, revision, checkAt: present?.checkAt ?? now + this.#options.livenessMs + lateMs });
    // Someone else declared it offline while a request of it was on its way here.
    if (!online && this.#isHeard(id)) void this.#revive(id);
  }

  /** Takes in the records of a commit of this process: who registers, or is online again, gave a sign of life. */
  committed(records: readonly StoredRecord[]): void {
    for (const { record } of records) {
      if (record.kind !== swarmMachine.kind) continue;
      const { type } = record.event;
      if (type === 'REGISTER' || type === 'ONLINE') this.#signs.seen(record.id);
      // The timer of before has fired.
      if (type === 'ONLINE') this.#signs.rearm(record.id);
    }
  }

  /** Handles a due timer of the kind `livenessTimer`. @throws FabricError when it has to come again */
  async due({ id, at, data }: Timer): Promise<void> {
    const { timers, clock, livenessMs } = this.#options;
    // Set anew since: there was a sign of life.
    if (await timers.get(livenessTimer, id)) return;
    if (this.#isHeard(id)) return this.#signs.rearm(id);
    const { seen_at = at - livenessMs, again = false } = (data ?? {}) as { seen_at?: number; again?: boolean };
    if (clock.now() - at > lateMs && !again) {
      const next = { what: livenessTimer, id, at: clock.now() + livenessMs, data: { seen_at, again: true } };
      await timers.replace(next, 0);
      return;
    }
    await this.#declareOffline(id, seen_at);
  }

  /**
   * Finds tasks whose owners are not there, and swarms without a timer; made to be called about every second.
   * @throws FabricError UNAVAILABLE: the next sweep goes on
   */
  async sweep(): Promise<void> {
    const { tasks } = this.#options;
    for (const owner of tasks.owners()) {
      if (this.#known.get(owner)?.online) continue;
      const reason = await this.#absence(owner);
      if (reason) await this.#returnTasks(owner, reason);
    }
    await this.#checkTimers();
  }

  /** Sets no further timers, and waits for what is under way. */
  async stop(): Promise<void> {
    await this.#signs.stop();
    await Promise.all(this.#reviving.values());
  }

  #isHeard(swarm_id: string): boolean {
    const { clock, livenessMs } = this.#options;
    return this.#signs.seenAt(swarm_id) + livenessMs > clock.now();
  }

  /** Several requests at once bring a swarm online once. */
  #revive(swarm_id: string): Promise<void> {
    const present = this.#reviving.get(swarm_id);
    if (present) return present;
    const { store, newId, log } = this.#options;
    const plan = async (view: PlanView): Promise<Proposal<unknown>> => {
      const { registration, liveness } = (await view.get(swarmMachine, swarm_id)).snapshot.value as SwarmState;
      if (registration !== 'registered' || liveness === 'online') return { answer: undefined };
      return { send: [{ machine: swarmMachine, id: swarm_id, event: { type: 'ONLINE' } }], answer: () => undefined };
    };
    const reviving = store
      .transact({ by: swarm_id, trace_id: newId() }, plan)
      .then(() => {})
      // Whatever the swarm asks for then says itself that it is offline.
      .catch((error: unknown) => log.warn({ err: error, swarm_id }, 'a swarm was not brought online'))
      .finally(() => this.#reviving.delete(swarm_id));
    this.#reviving.set(swarm_id, reviving);
    return reviving;
  }

  async #declareOffline(swarm_id: string, seenAt: number): Promise<void> {
    const { store, timers, newId, livenessMs } = this.#options;
    const plan = async (view: PlanView): Promise<Proposal<'offline' | number | undefined>> => {
      const { snapshot } = await view.get(swarmMachine, swarm_id);
      const { registration, liveness } = snapshot.value as SwarmState;
      if (registration !== 'registered' || liveness !== 'online') return { answer: undefined };
      const last_seen_at = Math.max(seenAt, (snapshot.context as SwarmContext).last_seen_at ?? 0);
      if (last_seen_at + livenessMs > view.now) return { answer: last_seen_at };
      const event = { type: 'OFFLINE', last_seen_at };
      return { send: [{ machine: swarmMachine, id: swarm_id, event }], answer: () => 'offline' };
    };
    const outcome = await store.transact({ by, trace_id: newId() }, plan);
    if (outcome === 'offline') await this.#returnTasks(swarm_id, 'offline');
    if (typeof outcome !== 'number') return;
    // It registered, or came online, where its timer was not set.
    const timer = { what: livenessTimer, id: swarm_id, at: outcome + livenessMs, data: { seen_at: outcome } };
    await timers.replace(timer, 0);
  }

  /** Why a swarm is not there, by its last record; undefined when it is. */
  async #absence(swarm_id: string): Promise<'offline' | 'unregistered' | undefined> {
    const stored = await this.#options.store.read({ kind: swarmMachine.kind, id: swarm_id });
    const state = stored?.record.snapshot.value as SwarmState | undefined;
    if (state?.registration !== 'registered') return 'unregistered';
    return state.liveness === 'online' ? undefined : 'offline';
  }

  async #returnTasks(swarm_id: string, reason: 'offline' | 'unregistered'): Promise<void> {
    const { tasks } = this.#options;
    const owned = [...(await tasks.ownedBy(swarm_id))];
    const returning = async () => {
      for (let id = owned.pop(); id !== undefined; id = owned.pop()) await tasks.ownerLost(id, swarm_id, reason);
    };
    await Promise.all(Array.from({ length: returnedAtOnce }, returning));
  }

  /** A timer that was lost, such as by the end of the process that was to set it, is set again, with all of its time. */
  async #checkTimers(): Promise<void> {
    const { timers, clock, livenessMs } = this.#options;
    const now = clock.now();
    let checked = 0;
    for (const [id, known] of this.#known) {
      if (!known.online || Math.max(known.checkAt, this.#signs.armedUntil(id) + lateMs) > now) continue;
      if (++checked > mostPerSweep) return;
      const pending = await timers.get(livenessTimer, id);
      const at = pending?.at ?? now + livenessMs;
      if (!pending) await timers.replace({ what: livenessTimer, id, at }, 0);
      known.checkAt = at + lateMs;
    }
  }
}
