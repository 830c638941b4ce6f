/** Second act: while the workers do the board, the node that leads the log is killed; another takes over. */
import { setTimeout as delay } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import type { EmbeddedFabric } from '../../actors/fabric/embedded-fabric.ts';
import type { NodeView } from '../cluster/cluster.ts';
import { FabricError } from '../errors.ts';
import type { Stage } from './stage.ts';

export interface LeaderKill {
  readonly node: string;
  readonly pid: number;
  /** Tasks of the board that were not completed when it died. */
  readonly open_tasks: number;
  /** How long no task moved, and when the first moved again, counted from the kill; milliseconds. */
  readonly pause_ms: number;
  readonly recovered_after_ms: number;
  /** When the node was healthy again, in a new process, counted from the kill; null if it was not waited for so long. */
  readonly node_back_after_ms: number | null;
}

/** What is not known before the work goes on. */
export interface LeaderKilled extends Pick<LeaderKill, 'node' | 'pid' | 'open_tasks'> {
  /** By `performance.now()`. */
  readonly at: number;
}

const longestReturnMs = 30_000;

/** Finds the leader now, so that it can be killed at once when the time comes. */
export async function leaderOf({ nc, namespace, cluster }: EmbeddedFabric): Promise<NodeView & { pid: number }> {
  const manager = await jetstreamManager(nc, { checkAPI: false });
  const name = (await manager.streams.info(namespace.actorsStream)).cluster?.leader;
  const node = cluster?.nodes.find((one) => one.name === name);
  if (!node || node.pid === null)
    throw new FabricError('UNAVAILABLE', `the node ${name ?? '(unknown)'}, which leads the log, has no process`);
  return { ...node, pid: node.pid };
}

/** Kills the leader when a share of the board is done, or, of a small board, as soon as work has begun. */
export async function killLeader(
  { fabric, watch, progress }: Stage,
  board: readonly string[],
  share: number,
): Promise<LeaderKilled> {
  const { name: node, pid } = await leaderOf(fabric);
  const enough = Math.floor(board.length * share);
  await watch.until(() => watch.hasBegun(board) && watch.completedOf(board) >= enough);
  const at = performance.now();
  process.kill(pid, 'SIGKILL');
  const open_tasks = board.length - watch.completedOf(board);
  progress.say(
    `killed ${node} (process ${pid}), which led the log, with ${open_tasks} tasks open; waiting for a leader`,
  );
  return { node, pid, open_tasks, at };
}

/** Resolves with when the node was back, milliseconds after it was killed; null when it takes too long. */
export async function nodeIsBack(
  fabric: EmbeddedFabric,
  { node, pid, at }: LeaderKilled,
  signal: AbortSignal,
): Promise<number | null> {
  while (performance.now() - at < longestReturnMs && !signal.aborted) {
    const now = fabric.cluster?.nodes.find(({ name }) => name === node);
    if (now?.state === 'running' && now.pid !== null && now.pid !== pid) return Math.round(performance.now() - at);
    await delay(50);
  }
  return null;
}
