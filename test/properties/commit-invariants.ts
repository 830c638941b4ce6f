/**
 * What must hold after every commit, across actors: what a task holds elsewhere (money and a slot of its owner, places of
 * shared keys, a blocker) is there exactly as long as it should be.
 */
import { expect } from 'vitest';
import { formatRef } from '../../machines/address.ts';
import type { BlockerContext } from '../../machines/blocker/context.ts';
import { addUsd } from '../../machines/money.ts';
import { type ActorRecord, stateName } from '../../machines/record.ts';
import type { SemaphoreContext } from '../../machines/semaphore/context.ts';
import { activeTasks, type SwarmContext } from '../../machines/swarm/context.ts';
import { finalStates, ownedStates, type TaskContext } from '../../machines/task/context.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';

interface Task {
  readonly id: string;
  readonly state: string;
  readonly context: TaskContext;
}

/** The actors as they were after one commit. */
class Board {
  readonly #records = new Map<string, ActorRecord>();

  apply({ record }: StoredRecord): void {
    this.#records.set(formatRef(record), record);
  }

  get tasks(): Task[] {
    return this.#of('task').map(({ id, snapshot }) => ({
      id,
      state: stateName(snapshot.value),
      context: snapshot.context as TaskContext,
    }));
  }

  get swarms(): Array<[string, SwarmContext]> {
    return this.#of('swarm').map(({ id, snapshot }) => [id, snapshot.context as SwarmContext]);
  }

  semaphore(id: string): SemaphoreContext | undefined {
    return this.#records.get(`semaphore:${id}`)?.snapshot.context as SemaphoreContext | undefined;
  }

  get semaphores(): Array<[string, SemaphoreContext]> {
    return this.#of('semaphore').map(({ id, snapshot }) => [id, snapshot.context as SemaphoreContext]);
  }

  get blockers(): Array<{ id: string; state: string; context: BlockerContext }> {
    return this.#of('blocker').map(({ id, snapshot }) => ({
      id,
      state: stateName(snapshot.value),
      context: snapshot.context as BlockerContext,
    }));
  }

  #of(kind: string): ActorRecord[] {
    return [...this.#records.values()].filter((record) => record.kind === kind);
  }
}

export function checkCommits(commits: ReadonlyArray<readonly StoredRecord[]>): void {
  const board = new Board();
  for (const commit of commits) {
    for (const stored of commit) board.apply(stored);
    checkReservations(board);
    checkConcurrency(board);
    checkSingletons(board);
    checkBlockers(board);
  }
}

function isOwned({ state }: Task): boolean {
  return (ownedStates as readonly string[]).includes(state);
}

function isOpen({ state }: Task): boolean {
  return !(finalStates as readonly string[]).includes(state);
}

function checkReservations(board: Board): void {
  const owned = board.tasks.filter(isOwned);
  for (const [swarm_id, { reservations, budget, max_concurrent_tasks, ...swarm }] of board.swarms) {
    const expected = owned
      .filter(({ context }) => context.owner === swarm_id && context.reserved_usd !== null)
      .map(({ id, context }) => [`task:${id}`, { token: context.token, amount_usd: context.reserved_usd }]);
    expect(reservations, `${swarm_id} holds what its tasks reserved`).toEqual(Object.fromEntries(expected));
    const sum = Object.values(reservations).reduce((total, { amount_usd }) => addUsd(total, amount_usd), 0);
    expect(budget.reserved_usd, `${swarm_id}: reserved is the sum of its reservations`).toBe(sum);
    expect(addUsd(budget.reserved_usd, budget.spent_usd), swarm_id).toBeLessThanOrEqual(budget.allocated_usd);
    if (max_concurrent_tasks !== null)
      expect(
        activeTasks({ ...swarm, reservations, budget, max_concurrent_tasks }),
        `slots of ${swarm_id}`,
      ).toBeLessThanOrEqual(max_concurrent_tasks);
  }
}

function checkConcurrency(board: Board): void {
  const owned = board.tasks.filter(isOwned);
  for (const key of new Set(board.tasks.map(({ context }) => context.concurrency_key))) {
    if (key === null) continue;
    const holders = owned
      .filter(({ context }) => context.concurrency_key === key)
      .map(({ id, context }) => ({ task_id: id, token: context.token, limit: context.concurrency_limit ?? 1 }));
    const semaphore = board.semaphore(`concurrency.${key}`);
    expect(sorted(semaphore?.holders ?? []), `the places of ${key} are those of its owned tasks`).toEqual(
      sorted(holders.map(({ task_id, token }) => ({ task_id, token }))),
    );
    for (const { limit } of holders) expect(holders.length, `at most ${limit} of ${key}`).toBeLessThanOrEqual(limit);
  }
}

function checkSingletons(board: Board): void {
  for (const [id, { holders }] of board.semaphores) {
    if (!id.startsWith('singleton.')) continue;
    const open = board.tasks.filter((task) => `singleton.${task.context.singleton_key}` === id && isOpen(task));
    expect(open.length, `open tasks of ${id}`).toBeLessThanOrEqual(1);
    expect(holders, `${id} is held by its open task`).toEqual(open.map((task) => ({ task_id: task.id, token: null })));
  }
}

/** A blocked task has an open blocker, and an open blocker of a task has that task blocked. */
function checkBlockers(board: Board): void {
  const blocked = board.tasks.filter(({ state }) => state === 'blocked');
  const open = board.blockers.filter(({ state, context }) => state !== 'resolved' && context.task_id !== null);
  const pairs = open.map(({ id, context }) => `${context.task_id} by ${id} under ${context.token}`);
  expect(pairs.sort(), 'open blockers and blocked tasks').toEqual(
    blocked.map(({ id, context }) => `${id} by ${context.blocker_id} under ${context.token}`).sort(),
  );
}

function sorted<Holder extends { task_id: string }>(holders: readonly Holder[]): Holder[] {
  return [...holders].sort((a, b) => (a.task_id < b.task_id ? -1 : 1));
}
