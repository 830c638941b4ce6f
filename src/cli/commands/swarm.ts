/** `infrafabric swarm list|show`: swarms as the coordinator shows them. */
import type { SwarmView } from '../../../actors/coordinator/swarms/swarm-view.ts';
import { withFabric } from '../fabric-session.ts';
import { factTable } from '../facts.ts';
import { given, numberOf, textOf } from '../option-values.ts';
import { exitCodes } from '../output.ts';
import type { CommandRun } from '../program.ts';
import { formatTime, formatUsd } from '../table.ts';

export const list: CommandRun = async (context, _, options) => {
  const { out } = context;
  const body = given({ limit: numberOf(options, '--limit'), cursor: textOf(options, '--cursor') });
  const page = await withFabric(
    context,
    async ({ client }) => await client.request<{ swarms: SwarmView[]; cursor: string | null }>('swarm', 'list', body),
  );
  out.data(page);
  const rows = page.swarms.map((swarm) => ({
    swarm: swarm.swarm_id,
    registration: swarm.registration,
    liveness: swarm.liveness,
    circuit: swarm.circuit,
    capabilities: [...swarm.capabilities, ...swarm.grants].join(', '),
    active: swarm.active_tasks,
    completed: swarm.counters.completed,
    failed: swarm.counters.failed,
    remaining: formatUsd(swarm.budget.remaining_usd),
    seen: formatTime(swarm.last_seen_at),
  }));
  const columns = [
    'swarm',
    'registration',
    'liveness',
    'circuit',
    'capabilities',
    'active',
    'completed',
    'failed',
    'remaining',
    'seen',
  ] as const;
  out.table(
    columns.map((key) => ({ key })),
    rows,
    'no swarms',
  );
  if (page.cursor !== null) out.note(`there are more: --cursor ${page.cursor}`);
  return exitCodes.done;
};

export const show: CommandRun = async (context, [swarm_id]) => {
  const swarm = await withFabric(
    context,
    async ({ client }) => await client.request<SwarmView>('swarm', 'get', { swarm_id }),
  );
  context.out.data(swarm);
  factTable(context.out, swarm);
  return exitCodes.done;
};
