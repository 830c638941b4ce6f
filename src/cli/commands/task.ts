/** `infrafabric task ...`: what swarms and operators do with tasks, through the requests `task.*`. */
import type { ClaimAnswer } from '../../../actors/coordinator/task-operations.ts';
import type { TaskView } from '../../../actors/coordinator/task-view.ts';
import { withFabric } from '../fabric-session.ts';
import { factTable } from '../facts.ts';
import { given, jsonOf, namesOf, numberOf, textOf, timeOf } from '../option-values.ts';
import { exitCodes, type Output } from '../output.ts';
import type { CommandRun } from '../program.ts';
import { formatTime } from '../table.ts';

export const create: CommandRun = async (context, [task_id], options) => {
  const body = given({
    task_id,
    task_type: textOf(options, '--type'),
    requires: namesOf(options, '--requires'),
    depends_on: namesOf(options, '--depends-on'),
    priority: numberOf(options, '--priority'),
    max_attempts: numberOf(options, '--max-attempts'),
    lease_ms: numberOf(options, '--lease-ms'),
    retry_backoff_ms: numberOf(options, '--retry-backoff-ms'),
    not_before: timeOf(options, '--not-before'),
    cost_estimate: numberOf(options, '--cost-estimate'),
    metadata: jsonOf(options, '--metadata'),
  });
  const swarm = textOf(options, '--swarm');
  showTask(
    context.out,
    await withFabric(context, async ({ client }) => await client.request<TaskView>('task', 'create', body), { swarm }),
  );
  return exitCodes.done;
};

export const list: CommandRun = async (context, _, options) => {
  const body = given({
    state: textOf(options, '--state'),
    owner: textOf(options, '--owner'),
    limit: numberOf(options, '--limit'),
    cursor: textOf(options, '--cursor'),
  });
  const page = await withFabric(
    context,
    async ({ client }) => await client.request<{ tasks: TaskView[]; cursor: string | null }>('task', 'list', body),
  );
  context.out.data(page);
  const rows = page.tasks.map(({ task_id, task_type, state, owner, priority, attempt, max_attempts, created_at }) => {
    return {
      task_id,
      task_type,
      state,
      owner,
      priority,
      attempt: `${attempt}/${max_attempts}`,
      created: formatTime(created_at),
    };
  });
  const columns = ['task_id', 'task_type', 'state', 'owner', 'priority', 'attempt', 'created'] as const;
  context.out.table(
    columns.map((key) => ({ key, title: key.replace('task_', '') })),
    rows,
    'no tasks',
  );
  if (page.cursor !== null) context.out.note(`there are more: --cursor ${page.cursor}`);
  return exitCodes.done;
};

export const show: CommandRun = async (context, [task_id]) => {
  showTask(
    context.out,
    await withFabric(context, async ({ client }) => await client.request<TaskView>('task', 'get', { task_id })),
  );
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
    `${task_id} was not claimed: ${answer.reason}${answer.owner === undefined ? '' : `, it is owned by ${answer.owner}`}`,
  );
  return exitCodes.no;
};

export const complete: CommandRun = async (context, [task_id], options) => {
  const cost = given({
    cost_usd: numberOf(options, '--cost-usd'),
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

function showTask(out: Output, task: TaskView): void {
  out.data(task);
  factTable(out, task);
}
