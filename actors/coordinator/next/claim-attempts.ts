/**
 * Which task a swarm should try to claim, and the trying. What is known here of tasks, swarms and keys is a millisecond
 * old and only says which claim is worth it; the claim decides. A task is tried for one swarm at a time in this process.
 */
import type { Code } from '../../../machines/codes.ts';
import { FabricError } from '../../../src/errors.ts';
import type { FleetKnown } from '../../fleet-known.ts';
import type { KnownSwarm } from '../../swarm-index/known-swarm.ts';
import type { SwarmIndex } from '../../swarm-index/swarm-index.ts';
import type { ClaimAnswer } from '../tasks/task-claims.ts';
import type { AvailableTasks } from './available-tasks.ts';
import { ClaimContention } from './claim-contention.ts';
import type { Delayed } from './delayed.ts';
import type { Funds } from './funds.ts';
import { Refusals } from './refusals.ts';
import type { SemaphoresKnown } from './semaphores-known.ts';
import type { AvailableTask, TaskProfile } from './task-profile.ts';

export type Claimed = ClaimAnswer & { readonly claimed: true };

export interface ClaimAttemptsOptions {
  readonly claim: (by: string, task_id: string) => Promise<ClaimAnswer>;
  readonly tasks: AvailableTasks;
  readonly swarms: SwarmIndex;
  readonly semaphores: SemaphoresKnown;
  readonly fleet: Pick<FleetKnown, 'paused'>;
  readonly funds: Pick<Funds, 'cover'>;
  /** Policy, 0 to 1. */
  readonly minCapabilityMatch: () => number;
  readonly random: () => number;
  readonly delayed: Delayed;
  /** Tasks of this profile can be tried again. */
  readonly onFree: (profile: TaskProfile) => void;
  /** Whether the swarm is ready may have changed; `mayHaveMore` says that it may claim what it could not before. */
  readonly onSwarm: (swarmId: string, mayHaveMore: boolean) => void;
}

/** After a refusal that nothing known here explains, milliseconds. */
const unexplainedPauseMs = 250;
/** How many candidates, and how many tasks near them, are looked at where one is chosen at random. */
const mostCompared = 16;
const samples = 8;
/** How long a task is not tried again whose claim was lost, if no record of it arrives, milliseconds. */
const lostPauseMs = 1_000;

export class ClaimAttempts {
  readonly #options: ClaimAttemptsOptions;
  readonly #contention = new ClaimContention();
  readonly #refusals: Refusals;
  readonly #fullKeys = new Map<string, () => void>();
  /** Claims under way, by swarm and by concurrency key. */
  readonly #bySwarm = new Tally();
  readonly #byKey = new Tally();
  claims = 0;
  conflicts = 0;

  constructor(options: ClaimAttemptsOptions) {
    this.#options = options;
    const { delayed, onSwarm } = options;
    this.#refusals = new Refusals({ delayed, pauseMs: unexplainedPauseMs, over: (swarmId) => onSwarm(swarmId, true) });
  }

  /** As `ClaimContention.patienceMs`. */
  get patienceMs(): number {
    return this.#contention.patienceMs;
  }

  /** Whether the swarm could claim anything now. */
  isReady({ swarm_id, able, free_slots }: KnownSwarm): boolean {
    if (this.#options.fleet.paused) return false;
    return able && free_slots > this.#bySwarm.of(swarm_id) && !this.#refusals.coversAll(swarm_id);
  }

  /** Whether tasks of this profile are for a swarm that is ready, it has the money, and was not just refused one. */
  affords(swarm: KnownSwarm, profile: TaskProfile): boolean {
    const { kept_for, cost_estimate } = profile;
    if (kept_for !== null && kept_for !== swarm.swarm_id) return false;
    return this.#options.funds.cover(swarm, cost_estimate) && !this.#refusals.covers(swarm.swarm_id, profile);
  }

  /** Whether the key of the profile, if it has one, has a place left. */
  isOpen({ concurrency_key: key, concurrency_limit }: TaskProfile): boolean {
    if (key === null) return true;
    const taken = this.#options.semaphores.holders(key).length + this.#byKey.of(key);
    return taken < concurrency_limit && !this.#fullKeys.has(key);
  }

  /** The task that the swarm should try, which is held from then on; undefined when there is none for it. */
  choose(swarmId: string, admits: (taskType: string) => boolean): AvailableTask | undefined {
    const { tasks, swarms, minCapabilityMatch, random } = this.#options;
    const swarm = swarms.get(swarmId);
    if (!swarm || !this.isReady(swarm)) return undefined;
    const least = minCapabilityMatch();
    const candidates = tasks.candidates(
      (profile) =>
        admits(profile.task_type) &&
        swarm.capabilities.match(profile.requires, profile.requires_key) >= least &&
        this.affords(swarm, profile) &&
        this.isOpen(profile),
    );
    const { range } = this.#contention;
    const few = firstFew(candidates, Math.min(range, mostCompared));
    let task = few[0];
    for (let i = 0; i < samples && range > 1 && task; i++) {
      const one = few[Math.floor(random() * few.length)]!;
      task = tasks.near(one, range, random);
      // What each process made available itself is a share that no other prefers.
      if (task.own) break;
    }
    if (task) tasks.hold(task);
    return task;
  }

  /**
   * Claims a task that is held; undefined when it was refused, and others may try it, or when it was lost.
   * @throws FabricError as the claim
   */
  async claim(swarmId: string, task: AvailableTask): Promise<Claimed | undefined> {
    const { profile } = task;
    const key = profile.concurrency_key;
    this.claims++;
    this.#changing(swarmId, () => this.#bySwarm.add(swarmId, 1));
    if (key !== null) this.#byKey.add(key, 1);
    const begunAt = performance.now();
    try {
      const answer = await this.#options.claim(swarmId, task.task_id);
      return this.#judge(swarmId, task, answer, performance.now() - begunAt);
    } catch (error) {
      const code = error instanceof FabricError ? error.code : undefined;
      if (code === 'SWARM_NOT_FOUND') this.#letGo(task);
      else this.#rest(task);
      if (code === 'TASK_NOT_FOUND') return undefined;
      throw error;
    } finally {
      this.#changing(swarmId, () => this.#bySwarm.add(swarmId, -1));
      if (key !== null) {
        this.#byKey.add(key, -1);
        this.#freeKey(key);
      }
    }
  }

  /** A record of a swarm was seen. True when it ends a pause of the swarm's. */
  swarmChanged({ swarm_id, revision }: KnownSwarm): boolean {
    return this.#refusals.endedBy(swarm_id, revision);
  }

  /** A record of the key's semaphore was seen, by which a place has become free. */
  placeFreed(key: string): void {
    this.#fullKeys.get(key)?.();
    this.#fullKeys.delete(key);
    this.#freeKey(key);
  }

  #judge(swarmId: string, task: AvailableTask, answer: ClaimAnswer, ms: number): Claimed | undefined {
    if (answer.claimed) {
      this.#contention.sample('won', ms);
      this.#rest(task);
      return answer;
    }
    if (answer.reason === 'TASK_NOT_AVAILABLE') {
      this.conflicts++;
      this.#contention.sample('lost', ms);
      this.#rest(task);
      return undefined;
    }
    if (answer.concurrency_key !== undefined) this.#pauseKey(answer.concurrency_key);
    else {
      const revision = this.#options.swarms.get(swarmId)?.revision ?? 0;
      const what = meaningOf(answer.reason);
      this.#changing(swarmId, () => this.#refusals.note(swarmId, revision, what, task.profile));
    }
    this.#letGo(task);
    return undefined;
  }

  #changing(swarmId: string, change: () => void): void {
    const swarm = this.#options.swarms.get(swarmId);
    const before = swarm !== undefined && this.isReady(swarm);
    change();
    if (swarm && this.isReady(swarm) !== before) this.#options.onSwarm(swarmId, !before);
  }

  #letGo(task: AvailableTask): void {
    if (this.#options.tasks.letGo(task)) this.#options.onFree(task.profile);
  }

  /** Not available any more, as far as is known; its next record will tell. */
  #rest(task: AvailableTask): void {
    if (this.#options.tasks.isCurrent(task)) this.#options.delayed.after(lostPauseMs, () => this.#letGo(task));
  }

  #pauseKey(key: string): void {
    if (this.#fullKeys.has(key)) return;
    const callOff = this.#options.delayed.after(unexplainedPauseMs, () => {
      this.#fullKeys.delete(key);
      this.#freeKey(key);
    });
    this.#fullKeys.set(key, callOff);
  }

  #freeKey(key: string): void {
    for (const profile of this.#options.tasks.profilesOfKey(key)) this.#options.onFree(profile);
  }
}

/** What else is refused to the swarm, when a task was refused with this code. */
function meaningOf(reason: Code): 'anything' | 'price' | 'requires' {
  if (reason === 'BUDGET_EXHAUSTED') return 'price';
  return reason === 'CAPABILITY_MISSING' ? 'requires' : 'anything';
}

/** The first candidates that have the same priority, at most so many. */
function firstFew(candidates: Iterable<AvailableTask>, most: number): AvailableTask[] {
  const few: AvailableTask[] = [];
  for (const task of candidates) {
    if (few.length > 0 && task.priority !== few[0]!.priority) break;
    few.push(task);
    if (few.length >= most) break;
  }
  return few;
}

/** How many there are of each. */
class Tally {
  readonly #counts = new Map<string, number>();

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  add(name: string, more: 1 | -1): void {
    const count = this.of(name) + more;
    if (count > 0) this.#counts.set(name, count);
    else this.#counts.delete(name);
  }
}
