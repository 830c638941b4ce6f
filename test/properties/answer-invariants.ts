/** What clients were told must be true, and hold: what was confirmed is in the log, and stays there. */
import { expect } from 'vitest';
import type { NextAnswer } from '../../actors/coordinator/next/next-task.ts';
import type { ClaimAnswer } from '../../actors/coordinator/tasks/task-claims.ts';
import { type TaskView, taskView } from '../../actors/coordinator/tasks/task-view.ts';
import { stateName } from '../../machines/record.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import type { Observation } from './fabric.ts';
import type { SharedLog } from './shared-log.ts';

export function checkAnswers(observations: readonly Observation[], shared: SharedLog): void {
  const handedOut = new Set<string>();
  for (const observation of observations) {
    const { request, outcome } = observation;
    if (outcome.kind !== 'answered') continue;
    if (request.does === 'next') checkNext(observation, outcome.answer as NextAnswer, shared, handedOut);
    else if (request.does === 'claim') checkClaim(observation, outcome.answer as ClaimAnswer, shared);
    else if (request.does === 'renew') checkRenewal(observation, outcome.answer as TaskView, shared);
    else if (request.does === 'complete') checkCompletion(observation, outcome.answer as TaskView, shared);
    else if (isTaskView(outcome.answer)) checkView(observation, outcome.answer, shared);
  }
}

function isTaskView(answer: unknown): answer is TaskView {
  return typeof answer === 'object' && answer !== null && 'task_id' in answer && 'attempt' in answer;
}

/** A task in an answer is a record, and no older than the request. */
function checkView({ request, from, to }: Observation, view: TaskView, shared: SharedLog): void {
  const { label } = request;
  const ref = refOf(view);
  const stored = shared.lastOf(ref, view.revision);
  expect(stored && taskView(stored), `${label}: the answer is a record`).toEqual(view);
  const before = shared.lastOf(ref, from.revision)?.revision ?? 0;
  expect(view.revision, `${label}: the answer is new`).toBeGreaterThanOrEqual(before);
  expect(view.revision, label).toBeLessThanOrEqual(to.revision);
}

function checkClaim(observation: Observation, answer: ClaimAnswer, shared: SharedLog): void {
  if (!answer.claimed) return;
  checkView(observation, answer.task, shared);
  const { token } = recorded(answer.task, shared);
  expect([answer.task.owner, answer.token], observation.request.label).toEqual([observation.request.by, token]);
}

/** What is handed out is a claim of this request, and of no other. */
function checkNext(observation: Observation, answer: NextAnswer, shared: SharedLog, handedOut: Set<string>): void {
  const { request, from } = observation;
  if (answer.task === null) return;
  checkClaim(observation, { claimed: true, task: answer.task, token: answer.token }, shared);
  const { record, revision } = shared.lastOf(refOf(answer.task), answer.task.revision)!;
  expect(record.event.type, request.label).toBe('CLAIM');
  expect(revision, `${request.label}: the claim is of this request`).toBeGreaterThan(from.revision);
  const what = `${answer.task.task_id} under ${answer.token}`;
  expect([...handedOut], 'an ownership is handed to one request').not.toContain(what);
  handedOut.add(what);
}

function checkCompletion(observation: Observation, view: TaskView, shared: SharedLog): void {
  const { request } = observation;
  checkView(observation, view, shared);
  const last = shared.lastOf(refOf(view))!.record.snapshot;
  expect(stateName(last.value), `${request.label} was confirmed`).toBe('completed');
  const { owner, result } = last.context as TaskContext;
  expect([owner, result], `${request.label} was confirmed`).toEqual([request.by, { mark: request.mark }]);
}

/** A renewal that was confirmed holds: that lease ends no earlier. */
function checkRenewal(observation: Observation, view: TaskView, shared: SharedLog): void {
  const { label } = observation.request;
  const { lease_expires_at, lease_ms, token } = recorded(view, shared);
  checkView(observation, { ...view, lease_expires_at }, shared);
  const until = view.lease_expires_at;
  expect(until, label).toBeGreaterThanOrEqual(observation.from.at + lease_ms);
  for (const { record } of shared.of(refOf(view))) {
    if (record.event.type !== 'LEASE_EXPIRED' || record.event['token'] !== token) continue;
    expect(record.at, `${label} was confirmed until ${until}`).toBeGreaterThanOrEqual(until!);
  }
}

/** The task at the revision of the answer. */
function recorded(view: TaskView, shared: SharedLog): TaskContext {
  return shared.lastOf(refOf(view), view.revision)!.record.snapshot.context as TaskContext;
}

function refOf({ task_id }: TaskView) {
  return { kind: taskMachine.kind, id: task_id };
}
