/**
 * Callers that wait for a task that fits. Fair among swarms: of those that qualify for a task, the swarm that was served
 * longest ago comes first; within a swarm, who came first.
 *
 * Callers of the same capabilities and the same wishes stand in one queue, so that finding the one for a task asks each
 * queue and not each caller. Bounded: beyond `maxCallers`, or `maxPerSwarm` of one swarm, a caller is refused.
 */
import { FabricError } from '../../../src/errors.ts';
import type { CapabilitySet } from '../../swarm-index/capability-set.ts';
import type { KnownSwarm } from '../../swarm-index/known-swarm.ts';
import type { SwarmIndex } from '../../swarm-index/swarm-index.ts';
import { type HeapItem, OrderedHeap } from './ordered-heap.ts';
import type { TaskProfile } from './task-profile.ts';
import type { TypeFilter } from './type-filter.ts';

export interface Caller {
  readonly swarm_id: string;
  readonly types: TypeFilter;
}

/** A caller with its place. It keeps the place while a claim for it is under way. */
interface Place<C extends Caller> {
  readonly caller: C;
  readonly arrived: number;
}

/** The callers of one swarm with the same wishes, by arrival. */
interface Line<C extends Caller> extends HeapItem {
  readonly seat: Seat<C>;
  readonly types: TypeFilter;
  readonly places: Place<C>[];
  queue: Queue<C> | undefined;
}

/** What this process knows of a swarm that has callers here. */
interface Seat<C extends Caller> {
  readonly swarm_id: string;
  readonly lines: Map<string, Line<C>>;
  /** Its callers, those whose claims are under way included. */
  admitted: number;
  /** When it was last given a task: the number of the serving. */
  served: number;
}

/** The lines of swarms that could take a task now and would take the same ones. */
interface Queue<C extends Caller> {
  readonly key: string;
  readonly capabilities: CapabilitySet;
  readonly types: TypeFilter;
  readonly lines: OrderedHeap<Line<C>>;
}

export interface ParkedCallersOptions {
  readonly swarms: SwarmIndex;
  /** Whether a swarm could claim anything at the moment. */
  readonly isReady: (swarm: KnownSwarm) => boolean;
  /** Whether a swarm that is ready qualifies for tasks of this profile, the capabilities apart. */
  readonly affords: (swarm: KnownSwarm, profile: TaskProfile) => boolean;
  /** Policy, 0 to 1. */
  readonly minCapabilityMatch: () => number;
  /** Default 10,000. */
  readonly maxCallers?: number | undefined;
  /** Default 64. */
  readonly maxPerSwarm?: number | undefined;
}

/** Swarms without callers whose last serving is remembered. */
const mostRemembered = 10_000;

export class ParkedCallers<C extends Caller> {
  readonly #options: ParkedCallersOptions;
  readonly #seats = new Map<string, Seat<C>>();
  readonly #queues = new Map<string, Queue<C>>();
  readonly #places = new Map<C, Place<C>>();
  readonly #served = new Map<string, number>();
  #arrivals = 0;
  #servings = 0;
  #parked = 0;

  constructor(options: ParkedCallersOptions) {
    this.#options = options;
  }

  /** Callers that wait now, without those whose claims are under way. */
  get size(): number {
    return this.#parked;
  }

  /** Takes a caller in, not yet parked; it counts until it is discharged. @throws FabricError RATE_LIMITED */
  admit(caller: C): void {
    const { maxCallers = 10_000, maxPerSwarm = 64 } = this.#options;
    const { swarm_id } = caller;
    if (this.#places.size >= maxCallers)
      throw new FabricError(
        'RATE_LIMITED',
        `${maxCallers} requests of all swarms for a next task are open in this process already; ask again a little later`,
      );
    const seat = this.#seats.get(swarm_id) ?? this.#newSeat(swarm_id);
    if (seat.admitted >= maxPerSwarm)
      throw new FabricError(
        'RATE_LIMITED',
        `${maxPerSwarm} requests of ${swarm_id} for a next task are open already; wait for an answer before asking again`,
      );
    seat.admitted++;
    this.#places.set(caller, { caller, arrived: ++this.#arrivals });
  }

  /** Forgets a caller that was answered, parked or not. */
  discharge(caller: C): void {
    if (!this.#places.has(caller)) return;
    this.take(caller);
    this.#places.delete(caller);
    const seat = this.#seats.get(caller.swarm_id)!;
    if (--seat.admitted === 0) this.#seats.delete(caller.swarm_id);
  }

  /** Parks an admitted caller, at the place of its arrival. */
  park(caller: C): void {
    const place = this.#places.get(caller);
    const seat = this.#seats.get(caller.swarm_id);
    if (!place || !seat) throw new Error('a caller is admitted before it is parked');
    const line = seat.lines.get(caller.types.key) ?? newLine(seat, caller.types);
    const behind = line.places.findIndex(({ arrived }) => arrived > place.arrived);
    line.places.splice(behind < 0 ? line.places.length : behind, 0, place);
    this.#parked++;
    this.#enqueue(line);
  }

  /** Takes a caller out of its line, to try a claim for it or to answer it; false when it was not parked. */
  take(caller: C): boolean {
    const line = this.#seats.get(caller.swarm_id)?.lines.get(caller.types.key);
    const at = line?.places.findIndex((place) => place.caller === caller) ?? -1;
    if (!line || at < 0) return false;
    line.places.splice(at, 1);
    this.#parked--;
    if (line.places.length === 0) line.seat.lines.delete(line.types.key);
    this.#enqueue(line);
    return true;
  }

  /** The caller that a task of this profile is for; undefined when none of those parked fits. */
  fitting(profile: TaskProfile): C | undefined {
    if (profile.kept_for !== null) return this.#ofKeeper(profile.kept_for, profile);
    const { affords, swarms } = this.#options;
    let best: Line<C> | undefined;
    for (const queue of this.#queues.values()) {
      if (!this.#admits(queue, profile)) continue;
      for (const line of queue.lines.inOrder()) {
        if (best && !isBefore(line, best)) break;
        const swarm = swarms.get(line.seat.swarm_id);
        if (!swarm || !affords(swarm, profile)) continue;
        best = line;
        break;
      }
    }
    return best?.places[0]?.caller;
  }

  /** The parked callers of a swarm in the order in which they came. */
  of(swarmId: string): C[] {
    const lines = [...(this.#seats.get(swarmId)?.lines.values() ?? [])];
    const places = lines.flatMap((line) => line.places);
    return places.sort((a, b) => a.arrived - b.arrived).map(({ caller }) => caller);
  }

  /** All callers, those whose claims are under way included. */
  all(): C[] {
    return [...this.#places.keys()];
  }

  /** The swarms that have parked callers. */
  swarmIds(): string[] {
    return [...this.#seats.values()].filter(({ lines }) => lines.size > 0).map(({ swarm_id }) => swarm_id);
  }

  /** What is known of the swarm, or whether it is ready, has changed. */
  changed(swarmId: string): void {
    for (const line of this.#seats.get(swarmId)?.lines.values() ?? []) this.#enqueue(line);
  }

  /** A swarm is given a task; answers with what takes that back, for when it did not get it after all. */
  serve(swarmId: string): () => void {
    const before = this.#served.get(swarmId);
    const serving = ++this.#servings;
    this.#setServed(swarmId, serving);
    return () => {
      if (this.#served.get(swarmId) === serving) this.#setServed(swarmId, before);
    };
  }

  #setServed(swarmId: string, serving: number | undefined): void {
    this.#served.delete(swarmId);
    if (serving !== undefined) this.#served.set(swarmId, serving);
    if (this.#served.size > mostRemembered) {
      const [oldest] = this.#served.keys();
      this.#served.delete(oldest!);
    }
    const seat = this.#seats.get(swarmId);
    if (!seat) return;
    seat.served = serving ?? 0;
    for (const line of seat.lines.values()) line.queue?.lines.moved(line);
  }

  /** Of a task that is kept for one swarm no other is asked. */
  #ofKeeper(swarmId: string, profile: TaskProfile): C | undefined {
    const swarm = this.#options.swarms.get(swarmId);
    if (!swarm || !this.#options.affords(swarm, profile)) return undefined;
    const lines = [...(this.#seats.get(swarmId)?.lines.values() ?? [])];
    const fitting = lines.filter(({ queue }) => queue !== undefined && this.#admits(queue, profile));
    return fitting.sort((a, b) => (isBefore(a, b) ? -1 : 1))[0]?.places[0]?.caller;
  }

  #admits({ types, capabilities }: Queue<C>, { task_type, requires, requires_key }: TaskProfile): boolean {
    return types.admits(task_type) && capabilities.match(requires, requires_key) >= this.#options.minCapabilityMatch();
  }

  /** Puts the line where it belongs now; nowhere when it is empty or its swarm is not ready. */
  #enqueue(line: Line<C>): void {
    const { seat, types } = line;
    const swarm = this.#options.swarms.get(seat.swarm_id);
    const stands = line.places.length > 0 && swarm !== undefined && this.#options.isReady(swarm);
    const queue = stands ? this.#queueOf(swarm.capabilities, types) : undefined;
    if (line.queue && line.queue !== queue) {
      line.queue.lines.remove(line);
      if (line.queue.lines.size === 0) this.#queues.delete(line.queue.key);
    }
    line.queue = queue;
    if (!queue) return;
    if (line.position < 0) queue.lines.push(line);
    else queue.lines.moved(line);
  }

  #queueOf(capabilities: CapabilitySet, types: TypeFilter): Queue<C> {
    const key = `${types.key} ${capabilities.key}`;
    const present = this.#queues.get(key);
    if (present) return present;
    const queue = { key, capabilities, types, lines: new OrderedHeap<Line<C>>(isBefore) };
    this.#queues.set(key, queue);
    return queue;
  }

  #newSeat(swarm_id: string): Seat<C> {
    const seat = { swarm_id, lines: new Map(), admitted: 0, served: this.#served.get(swarm_id) ?? 0 };
    this.#seats.set(swarm_id, seat);
    return seat;
  }
}

function newLine<C extends Caller>(seat: Seat<C>, types: TypeFilter): Line<C> {
  const line: Line<C> = { seat, types, places: [], queue: undefined, position: -1 };
  seat.lines.set(types.key, line);
  return line;
}

function isBefore<C extends Caller>(a: Line<C>, b: Line<C>): boolean {
  if (a.seat.served !== b.seat.served) return a.seat.served < b.seat.served;
  return (a.places[0]?.arrived ?? 0) < (b.places[0]?.arrived ?? 0);
}
