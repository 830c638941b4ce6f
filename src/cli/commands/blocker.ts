/** `infrafabric blocker list|show|resolve`: what swarms are stuck on, and the way on, through the requests `blocker.*`. */
import type { BlockerView } from '../../../actors/coordinator/blockers/blocker-view.ts';
import { withFabric } from '../fabric-session.ts';
import { factTable } from '../facts.ts';
import { given, numberOf, textOf } from '../option-values.ts';
import { exitCodes, type Output } from '../output.ts';
import type { CommandRun } from '../program.ts';
import { formatTime } from '../table.ts';

export const list: CommandRun = async (context, _, options) => {
  const { out } = context;
  const body = given({
    state: textOf(options, '--state'),
    limit: numberOf(options, '--limit'),
    cursor: textOf(options, '--cursor'),
  });
  const page = await withFabric(
    context,
    async ({ client }) =>
      await client.request<{ blockers: BlockerView[]; cursor: string | null }>('blocker', 'list', body),
  );
  out.data(page);
  const rows = page.blockers.map((blocker) => ({
    blocker: blocker.blocker_id,
    state: blocker.state,
    severity: blocker.severity,
    type: blocker.type,
    task: blocker.task_id,
    reporter: blocker.reported_by,
    helpers: blocker.helpers.map(({ swarm_id }) => swarm_id).join(', '),
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
  if (page.cursor !== null) out.note(`there are more: --cursor ${page.cursor}`);
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

export const resolve: CommandRun = async (context, [blocker_id], options) => {
  const body = given({ blocker_id, resolution: textOf(options, '--resolution') });
  const swarm = textOf(options, '--swarm');
  showBlocker(
    context.out,
    await withFabric(context, async ({ client }) => await client.request<BlockerView>('blocker', 'resolve', body), {
      swarm,
    }),
  );
  return exitCodes.done;
};

function showBlocker(out: Output, blocker: BlockerView): void {
  out.data(blocker);
  const helpers = blocker.helpers.map(({ swarm_id, answer }) => `${swarm_id} (${answer})`);
  factTable(out, { ...blocker, helpers });
}
