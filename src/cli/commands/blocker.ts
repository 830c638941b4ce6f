/** `infrafabric blocker list|show|join|decline|resolve`: what swarms are stuck on, and the way on: the requests `blocker.*`. */
import type { BlockerView } from '../../../actors/coordinator/blockers/blocker-view.ts';
import { FabricError } from '../../errors.ts';
import { withFabric } from '../fabric-session.ts';
import { factTable } from '../facts.ts';
import { given, textOf } from '../option-values.ts';
import { exitCodes, type Output } from '../output.ts';
import { listPage, noteMore } from '../pages.ts';
import type { CommandRun } from '../program.ts';
import { formatTime, formatUsd } from '../table.ts';

type Helper = BlockerView['helpers'][number];

export const list: CommandRun = async (context, _, options) => {
  const { out } = context;
  const state = textOf(options, '--state');
  const page = await listPage<{ blockers: BlockerView[] }>(context, 'blocker', options, { state });
  const rows = page.blockers.map((blocker) => ({
    blocker: blocker.blocker_id,
    state: blocker.state,
    severity: blocker.severity,
    type: blocker.type,
    task: blocker.task_id,
    reporter: blocker.reported_by,
    helpers: blocker.helpers.map(answered).join(', '),
    reported: formatTime(blocker.reported_at),
    description: blocker.description,
  }));
  const columns = [
    'blocker',
    'state',
    'severity',
    'type',
    'task',
    'reporter',
    'helpers',
    'reported',
    'description',
  ] as const;
  out.table(
    columns.map((key) => ({ key })),
    rows,
    'no blockers',
  );
  noteMore(out, page);
  return exitCodes.done;
};

export const show: CommandRun = async (context, [blocker_id]) => {
  showBlocker(
    context.out,
    await withFabric(
      context,
      async ({ client }) => await client.request<BlockerView>('blocker', 'get', { blocker_id }),
    ),
  );
  return exitCodes.done;
};

export const resolve: CommandRun = async (context, [blocker_id], options) =>
  await change(context, 'resolve', { blocker_id, resolution: textOf(options, '--resolution') }, options);

export const join: CommandRun = async (context, [blocker_id], options) =>
  await change(context, 'join', { blocker_id }, options);

export const decline: CommandRun = async (context, [blocker_id], options) =>
  await change(context, 'decline', { blocker_id, reason: textOf(options, '--reason') }, options);

async function change(
  context: Parameters<CommandRun>[0],
  op: string,
  fields: Record<string, string | undefined>,
  options: Parameters<CommandRun>[2],
): ReturnType<CommandRun> {
  const swarm = textOf(options, '--swarm');
  const blocker = await withFabric(
    context,
    async ({ client, isOperator }) => {
      if (isOperator && op !== 'resolve')
        throw new FabricError(
          'INVALID_REQUEST',
          `only a swarm that was asked can ${op}; say which with --swarm, or with its own --creds`,
        );
      return await client.request<BlockerView>('blocker', op, given(fields));
    },
    { swarm },
  );
  showBlocker(context.out, blocker);
  return exitCodes.done;
}

function answered({ swarm_id, answer }: Helper): string {
  return `${swarm_id} (${answer})`;
}

function showBlocker(out: Output, blocker: BlockerView): void {
  out.data(blocker);
  const { helpers, ...facts } = blocker;
  factTable(out, facts);
  out.line('');
  const rows = helpers.map(({ swarm_id, answer, at, answer_by, reason, why }) => ({
    helper: swarm_id,
    answer,
    since: formatTime(at),
    answer_by: answer === 'invited' && answer_by !== null ? formatTime(answer_by) : null,
    match: why?.match_score ?? null,
    score: why && (why.combined_score ?? 'free'),
    reputation: why?.reputation ?? null,
    per_hour: why && formatUsd(why.cost_per_hour),
    reason,
  }));
  out.table(
    [
      { key: 'helper' },
      { key: 'answer' },
      { key: 'since' },
      { key: 'answer_by', title: 'answer by' },
      { key: 'match' },
      { key: 'score', align: 'right' },
      { key: 'reputation' },
      { key: 'per_hour', title: 'per hour', align: 'right' },
      { key: 'reason' },
    ],
    rows,
    'no swarm was asked to help',
  );
}
