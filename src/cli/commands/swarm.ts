/** `infrafabric swarm list|show`: swarms as the coordinator shows them. */
import type { SwarmView } from '../../../actors/coordinator/swarms/swarm-view.ts';
import { withFabric } from '../fabric-session.ts';
import { factTable } from '../facts.ts';
import { exitCodes } from '../output.ts';
import { listPage, noteMore } from '../pages.ts';
import type { CommandRun } from '../program.ts';
import { formatTime, formatUsd } from '../table.ts';

export const list: CommandRun = async (context, _, options) => {
  const { out } = context;
  const page = await listPage<{ swarms: SwarmView[] }>(context, 'swarm', options);
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
  noteMore(out, page);
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
