/** `infrafabric task ...`: what swarms and operators do with tasks, through the requests `task.*`. */

import type { Explanation, WaitingFor } from '../../../actors/coordinator/next/task-explain.ts';
import type { ClaimAnswer } from '../../../actors/coordinator/tasks/task-claims.ts';
import type { TaskView } from '../../../actors/coordinator/tasks/task-view.ts';
import { withFabric } from '../fabric-session.ts';
import { factTable } from '../facts.ts';
import { given, jsonOf, namesOf, numberOf, textOf, timeOf, usdOf } from '../option-values.ts';
import { exitCodes, type Output } from '../output.ts';
import { listPage, noteMore } from '../pages.ts';
import type { CommandRun } from '../program.ts';
import { formatTime } from '../table.ts';
import { whyWaiting } from '../waiting-reasons.ts';

/** What the options of a page promise; the request by itself would answer with more swarms. */
const swarmsPerPage = 100;

export const create: CommandRun = async (context, [task_id], options) => {
  const body = given({
    task_id,
    task_type: textOf(options, '--type'),
    requires: namesOf(options, '--requires'),
    depends_on: namesOf(options, '--depends-on'),
    on_dependency_failure: textOf(options, '--on-dependency-failure'),
    priority: numberOf(options, '--priority'),
    max_attempts: numberOf(options, '--max-attempts'),
    lease_ms: numberOf(options, '--lease-ms'),
    retry_backoff_ms: numberOf(options, '--retry-backoff-ms'),
    not_before: timeOf(options, '--not-before'),
    cost_estimate: usdOf(options, '--cost-estimate'),
    metadata: jsonOf(options, '--metadata'),
    concurrency_key: textOf(options, '--concurrency-key'),
    concurrency_limit: numberOf(options, '--concurrency-limit'),
    singleton_key: textOf(options, '--singleton-key'),
    assign: options['assign'] === true ? true : undefined,
  });
  const swarm = textOf(options, '--swarm');
  showTask(
    context.out,
    await withFabric(context, async ({ client }) => await client.request<TaskView>('task', 'create', body), { swarm }),
  );
  return exitCodes.done;
};

export const list: CommandRun = async (context, _, options) => {
  const filters = { state: textOf(options, '--state'), owner: textOf(options, '--owner') };
  const page = await listPage<{ tasks: TaskView[] }>(context, 'task', options, filters);
  const rows = page.tasks.map((task) => {
    const { task_id, task_type, state, owner, priority, attempt, max_attempts, created_at } = task;
    return {
      task_id,
      task_type,
      state,
      owner,
      priority,
      attempt: `${attempt}/${max_attempts}`,
      created: formatTime(created_at),
      waiting: whyWaiting(task),
    };
  });
  const always = ['task_id', 'task_type', 'state', 'owner', 'priority', 'attempt', 'created'] as const;
  const columns = rows.some(({ waiting }) => waiting !== undefined) ? ([...always, 'waiting'] as const) : always;
  context.out.table(
    columns.map((key) => ({ key, title: key.replace('task_', '') })),
    rows,
    'no tasks',
  );
  noteMore(context.out, page);
  return exitCodes.done;
};

export const show: CommandRun = async (context, [task_id]) => {
  const task = await withFabric(
    context,
    async ({ client }) => await client.request<TaskView>('task', 'get', { task_id }),
  );
  showTask(context.out, task);
  const why = whyWaiting(task);
  if (why !== undefined) context.out.note(`${task.task_id} is ${task.state}: ${why}`);
  return exitCodes.done;
};

export const explain: CommandRun = async (context, [task_id], options) => {
  const { out } = context;
  const limit = numberOf(options, '--limit') ?? swarmsPerPage;
  const body = given({ task_id, limit, cursor: textOf(options, '--cursor') });
  const explanation = await withFabric(
    context,
    async ({ client }) => await client.request<Explanation>('task', 'explain', body),
  );
  out.data(explanation);
  const { state, waiting_for, swarms } = explanation;
  const why = waiting_for === null ? [] : reasonsOf(state, waiting_for);
  out.line([`${task_id} is ${state}`, ...why].join('; '));
  out.line('');
  const columns = ['swarm', 'qualifies', 'code', 'reason'] as const;
  out.table(
    columns.map((key) => ({ key })),
    swarms.map(({ swarm_id, qualifies, ...refusal }) => ({
      swarm: swarm_id,
      qualifies: qualifies ? 'yes' : 'no',
      ...refusal,
    })),
    'no swarms',
  );
  noteMore(out, explanation);
  return exitCodes.done;
};

/** Exit code 1 when the task was not claimed. */
export const claim: CommandRun = async (context, [task_id], options) => {
  const { out } = context;
  const swarm = textOf(options, '--swarm');
  const { answer, caller } = await withFabric(
    context,
    async ({ client }) => ({
      answer: await client.request<ClaimAnswer>('task', 'claim', { task_id }),
      caller: client.callerId,
    }),
    { swarm },
  );
  out.data(answer);
  if (answer.claimed) {
    out.line(`${task_id} is claimed by ${caller}, token ${answer.token}`);
    return exitCodes.done;
  }
  out.note(
    `${task_id} was not claimed: ${answer.reason}${heldBy(answer)}; \`infrafabric task explain ${task_id}\` says why`,
  );
  return exitCodes.no;
};

function heldBy({ owner, assigned_to, until }: ClaimAnswer & { claimed: false }): string {
  if (owner !== undefined) return `, it is owned by ${owner}`;
  if (until === undefined) return '';
  return `, it is kept for ${assigned_to ?? 'a swarm that is being chosen'} until ${formatTime(until)}`;
}

export const complete: CommandRun = async (context, [task_id], options) => {
  const cost = given({
    cost_usd: usdOf(options, '--cost-usd'),
    tokens_in: numberOf(options, '--tokens-in'),
    tokens_out: numberOf(options, '--tokens-out'),
    model: textOf(options, '--model'),
  });
  const body = given({
    task_id,
    token: numberOf(options, '--token'),
    result: jsonOf(options, '--result'),
    cost: Object.keys(cost).length > 0 ? cost : undefined,
  });
  const swarm = textOf(options, '--swarm');
  showTask(
    context.out,
    await withFabric(context, async ({ client }) => await client.request<TaskView>('task', 'complete', body), {
      swarm,
    }),
  );
  return exitCodes.done;
};

export const cancel: CommandRun = async (context, [task_id], options) => {
  const body = given({ task_id, reason: textOf(options, '--reason') });
  const swarm = textOf(options, '--swarm');
  showTask(
    context.out,
    await withFabric(context, async ({ client }) => await client.request<TaskView>('task', 'cancel', body), { swarm }),
  );
  return exitCodes.done;
};

function reasonsOf(state: string, waiting: WaitingFor): string[] {
  const { dependencies, owner, holders, assigned_to, assigned_until, ...rest } = waiting;
  const why = whyWaiting({ state, open_dependencies: dependencies, ...rest });
  return [
    ...(owner === undefined ? [] : [`owned by ${owner}`]),
    ...(why === undefined ? [] : [why]),
    ...(holders === undefined ? [] : [`those are ${holders.join(', ')}`]),
    ...(assigned_until === undefined
      ? []
      : [`kept for ${assigned_to ?? 'a swarm that is being chosen'} until ${new Date(assigned_until).toISOString()}`]),
  ];
}

function showTask(out: Output, task: TaskView): void {
  out.data(task);
  factTable(out, task);
}
