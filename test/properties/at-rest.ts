/**
 * Nothing is lost and nothing is stuck: when faults stop, processes run, time passes and a swarm that can do everything
 * takes whatever there is, then in the end each task has ended, or waits for one that will never be completed because
 * whoever created it wanted it to wait.
 */
import { expect } from 'vitest';
import type { TaskView } from '../../actors/coordinator/tasks/task-view.ts';
import { formatRef, operatorId } from '../../machines/address.ts';
import { type FleetContext, fleetRef } from '../../machines/fleet/context.ts';
import { fleetMachine } from '../../machines/fleet/machine.ts';
import { stateName } from '../../machines/record.ts';
import type { SwarmContext } from '../../machines/swarm/context.ts';
import { finalStates, type TaskContext } from '../../machines/task/context.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { livenessMs } from './coordinator-process.ts';
import type { Fabric } from './fabric.ts';
import { nextTask, type Request } from './requests.ts';
import type { SharedLog } from './shared-log.ts';

/** A time in which every lease runs out, every back-off ends and every silent swarm is found out. */
const longEnoughMs = 3 * livenessMs;
const stepMs = 1_000;
/** Far longer than anything takes here. */
const mostMs = 120_000;
const finisher = 'finisher';

/**
 * Leaves the fabric to itself, and to one swarm that works, until nothing changes any more. Answers with the time from
 * which on nothing went wrong.
 */
export async function comeToRest(fabric: Fabric): Promise<number> {
  const { interleaving, processes, shared } = fabric;
  for (const { reach } of processes) reach.disarm();
  await interleaving.idle();
  fabric.restart();
  const until = async <Answer>(done: Promise<Answer>) => await interleaving.until(done);
  const [worker] = fabric.processes;
  await until(worker!.swarms.invite(operatorId, finisher, { grants: [], budget_usd: 1_000 }));
  await until(worker!.swarms.register(finisher, { capabilities: [], cost_per_hour: 1 }));
  const cause = { by: operatorId, trace_id: 'rest' };
  await until(worker!.budgets.allocateFleet(operatorId, { budget_usd: null }));
  const fleet = shared.lastOf(fleetRef)?.record.snapshot.context as FleetContext | undefined;
  const resume = { type: 'RESUME', by: operatorId };
  if (fleet?.pause) await until(worker!.store.dispatch(fleetMachine, fleetRef.id, resume, cause));
  const begunAt = fabric.now;
  for (let quietMs = 0; quietMs < longEnoughMs; quietMs += stepMs) {
    const { revision } = shared;
    expect(fabric.now - begunAt, lastEvents(shared)).toBeLessThan(mostMs);
    await until(fabric.pass(stepMs));
    for (const process of fabric.processes) await until(process.sweep());
    await interleaving.idle();
    while (await until(workOff(fabric))) await interleaving.idle();
    if (shared.revision > revision) quietMs = 0;
  }
  await until(fabric.answered());
  return begunAt;
}

function lastEvents({ commits }: SharedLog): string {
  const records = commits.slice(-10).flat();
  return `it does not come to rest: ${records.map(({ record }) => `${record.event.type} of ${formatRef(record)}`).join(', ')}`;
}

/** Whether there was something to do. */
async function workOff(fabric: Fabric): Promise<boolean> {
  const next = await fabric.send(nextTask(finisher, 0), 0);
  expect(next, 'an able swarm is answered').toMatchObject({ kind: 'answered' });
  if (next.kind !== 'answered') return false;
  const { task, token } = next.answer as { task: TaskView | null; token: number };
  if (task === null) return false;
  const { task_id } = task;
  const result = { mark: `finished ${task_id} ${token}` };
  const completion: Request = {
    does: 'complete',
    label: `complete ${task_id} at last`,
    by: finisher,
    task_id,
    mark: result.mark,
    event: { type: 'COMPLETE', by: finisher, token, result },
    run: async ({ tasks }) => await tasks.complete(finisher, task_id, { token, result }),
  };
  expect(await fabric.send(completion, 0), completion.label).toMatchObject({ kind: 'answered' });
  return true;
}

/** A lease ends at most so late, while coordinators run and can reach what they need; milliseconds. */
const latestMs = 2_000;

export function checkLateness({ shared }: Fabric, undisturbedFrom: number): void {
  for (const { record } of shared.commits.flat()) {
    if (record.event.type !== 'LEASE_EXPIRED' || record.at < undisturbedFrom) continue;
    const end = Math.max(Number(record.event['lease_expires_at']), undisturbedFrom);
    expect(record.at - end, `the lease of ${record.id} ended late`).toBeLessThanOrEqual(latestMs);
  }
}

/** Every task has ended, or waits for a good reason. */
export function checkAtRest({ shared }: Fabric): void {
  const heads = new Map(shared.heads.map(({ record }) => [formatRef(record), record]));
  const tasks = [...heads.values()].filter(({ kind }) => kind === taskMachine.kind);
  const contextOf = (id: string) => heads.get(`task:${id}`)!.snapshot.context as TaskContext;
  const stateOf = (id: string) => stateName(heads.get(`task:${id}`)!.snapshot.value);
  const hasEnded = (id: string) => (finalStates as readonly string[]).includes(stateOf(id));
  const waitsInVain = (id: string): boolean => {
    if (stateOf(id) !== 'waiting') return false;
    const { open_dependencies, failed_dependencies, on_dependency_failure } = contextOf(id);
    const ended = open_dependencies.filter(hasEnded);
    if (ended.some((one) => stateOf(one) === 'completed' || !failed_dependencies.includes(one))) return false;
    if (ended.length > 0 && on_dependency_failure === 'fail') return false;
    return open_dependencies.length > 0 && open_dependencies.every((one) => ended.includes(one) || waitsInVain(one));
  };
  for (const { kind, id, snapshot } of heads.values()) {
    if (kind !== 'swarm') continue;
    const { reservations, budget } = snapshot.context as SwarmContext;
    expect([reservations, budget.reserved_usd], `${id} holds nothing any more`).toEqual([{}, 0]);
  }
  const fleet = heads.get(formatRef(fleetRef))?.snapshot.context as FleetContext | undefined;
  expect(fleet?.unbudgeted_usd ?? 0, 'the fabric holds nothing any more').toBe(0);
  const stuck = tasks.filter(({ id }) => !hasEnded(id) && !waitsInVain(id));
  const described = stuck.map(({ id }) => {
    const { open_dependencies, due_at, owner, lease_expires_at } = contextOf(id);
    const dependencies = open_dependencies.map((one) => `${one} (${stateOf(one)})`);
    return { id, state: stateOf(id), owner, due_at, lease_expires_at, dependencies };
  });
  expect(described, 'tasks that are stuck').toEqual([]);
}
