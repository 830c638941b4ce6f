/**
 * Who is refused is refused for a reason that was true at some time between the request and its answer; a request that
 * was refused had no effect, one that comes twice has its effect once, and what took effect is not refused afterwards.
 */
import { expect } from 'vitest';
import type { ClaimAnswer } from '../../actors/coordinator/tasks/task-claims.ts';
import type { Code } from '../../machines/codes.ts';
import { type FleetContext, fleetRef } from '../../machines/fleet/context.ts';
import { stateName } from '../../machines/record.ts';
import type { SemaphoreContext } from '../../machines/semaphore/context.ts';
import { activeTasks, type SwarmContext, type SwarmState } from '../../machines/swarm/context.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import type { TaskEvent } from '../../machines/task/events.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import type { Observation } from './fabric.ts';
import type { SharedLog } from './shared-log.ts';

type NotClaimed = Extract<ClaimAnswer, { claimed: false }>;

export function checkRefusals(observations: readonly Observation[], shared: SharedLog): void {
  const marked = recordsByMark(shared);
  const open = new Set<string | undefined>();
  for (const { request, outcome } of observations) if (outcome.kind !== 'refused') open.add(request.mark);
  for (const observation of observations) {
    const { request, outcome, from, to } = observation;
    const { mark, label } = request;
    const records = (mark && marked.get(mark)) || [];
    expect(records.length, `${label} takes effect once`).toBeLessThanOrEqual(1);
    if (outcome.kind === 'answered' && request.does === 'claim') checkNotClaimed(observation, shared);
    if (outcome.kind !== 'refused') continue;
    checkReason(observation, outcome, shared);
    if (!open.has(mark)) expect(records, `${label} was refused, and took effect`).toEqual([]);
    const last = (revision: number) => shared.lastOf(refOf(request.task_id!), revision)?.revision;
    const [record] = records;
    if (record && last(from.revision) === record.revision && last(to.revision) === record.revision)
      expect.fail(`${label} took effect, and was refused with nothing in between: ${outcome.message}`);
  }
}

/** The records of tasks that came of marked requests. */
function recordsByMark(shared: SharedLog): Map<string, StoredRecord[]> {
  const marked = new Map<string, StoredRecord[]>();
  for (const stored of shared.commits.flat()) {
    if (stored.record.kind !== taskMachine.kind) continue;
    const { result, error, reason } = stored.record.event as {
      result?: { mark?: string };
      error?: { message?: string };
      reason?: string;
    };
    const mark = result?.mark ?? error?.message ?? reason;
    if (mark !== undefined) marked.set(mark, [...(marked.get(mark) ?? []), stored]);
  }
  return marked;
}

/** Where more than the task decides: what a client can be told at all. */
const possible: Readonly<Record<string, readonly Code[]>> = {
  create: ['TASK_EXISTS'],
  claim: ['TASK_NOT_FOUND', 'SWARM_NOT_FOUND'],
  next: ['SWARM_NOT_FOUND'],
  resolve: ['CONFLICT', 'UNAUTHORIZED'],
};

/** At some time during the request the task's machine had this reason. */
function checkReason(
  { request, from, to }: Observation,
  { code, message }: { readonly code: Code; readonly message: string },
  shared: SharedLog,
): void {
  const what = `${request.label} by ${request.by}: ${message}`;
  const codes = possible[request.does];
  if (codes) expect(codes, what).toContain(code);
  const { event, task_id } = request;
  if (!event || task_id === undefined) return;
  const reasons = during(refOf(task_id), { from, to }, shared).flatMap((stored) => {
    const snapshot = (stored?.record.snapshot ?? taskMachine.absent) as typeof taskMachine.absent;
    return [from.at, to.at].map((at) => taskMachine.explain(snapshot, { at, ...event } as TaskEvent)?.code);
  });
  expect(reasons, what).toContain(code);
}

function checkNotClaimed({ request, from, to, outcome }: Observation, shared: SharedLog): void {
  const answer = (outcome as { answer: ClaimAnswer }).answer;
  if (answer.claimed) return;
  const span = { from, to };
  const tasks = during(refOf(request.task_id!), span, shared);
  const swarms = during({ kind: 'swarm', id: request.by }, span, shared);
  const fleet = during(fleetRef, span, shared);
  const key = { kind: 'semaphore', id: `concurrency.${answer.concurrency_key}` };
  const reasons: Partial<Record<Code, () => boolean>> = {
    TASK_NOT_AVAILABLE: () => tasks.some((stored) => stored && isTaken(stored, answer)),
    SWARM_OFFLINE: () => swarms.some((stored) => stateOf(stored)?.liveness === 'offline'),
    CIRCUIT_OPEN: () =>
      swarms.some((stored) => stateOf(stored)?.circuit === 'open') || fleet.some((stored) => isPaused(stored)),
    CAPACITY_EXCEEDED: () =>
      answer.concurrency_key === undefined
        ? swarms.some((stored) => isFull(stored))
        : during(key, span, shared).some((stored) => isTakenByOthers(stored, request.task_id!)),
  };
  expect(reasons[answer.reason]?.() ?? true, `${request.label} by ${request.by}: ${JSON.stringify(answer)}`).toBe(true);
}

function isTaken({ record }: StoredRecord, { owner, assigned_to, until }: NotClaimed): boolean {
  const { assignment } = record.snapshot.context as TaskContext;
  if (stateName(record.snapshot.value) === 'available')
    return until !== undefined && assignment?.until === until && assignment.to === assigned_to;
  return owner === undefined || (record.snapshot.context as TaskContext).owner === owner;
}

function stateOf(stored: StoredRecord | undefined): SwarmState | undefined {
  return stored?.record.snapshot.value as SwarmState | undefined;
}

function isPaused(stored: StoredRecord | undefined): boolean {
  return (stored?.record.snapshot.context as FleetContext | undefined)?.pause != null;
}

function isFull(stored: StoredRecord | undefined): boolean {
  const swarm = stored?.record.snapshot.context as SwarmContext | undefined;
  return swarm !== undefined && activeTasks(swarm) >= (swarm.max_concurrent_tasks ?? Number.POSITIVE_INFINITY);
}

function isTakenByOthers(stored: StoredRecord | undefined, task_id: string): boolean {
  const { holders = [] } = (stored?.record.snapshot.context ?? {}) as Partial<SemaphoreContext>;
  return holders.some((holder) => holder.task_id !== task_id);
}

/** The last record of an actor when the request was sent, undefined for none, and those that came until it was answered. */
function during(
  ref: { readonly kind: string; readonly id: string },
  { from, to }: Pick<Observation, 'from' | 'to'>,
  shared: SharedLog,
): Array<StoredRecord | undefined> {
  const later = shared.of(ref).filter(({ revision }) => revision > from.revision && revision <= to.revision);
  return [shared.lastOf(ref, from.revision), ...later];
}

function refOf(task_id: string) {
  return { kind: taskMachine.kind, id: task_id };
}
