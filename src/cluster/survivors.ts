/**
 * Nodes that outlived the process which started them. Their memory is the state of the fabric, so they are found and
 * kept. What only left files behind is no survivor.
 */
import { FabricError } from '../errors.ts';
import { NodeFiles, type NodeState } from './node-files.ts';
import { readProcess } from './process-table.ts';

export interface Survivor {
  readonly state: NodeState;
  readonly pid: number;
  readonly start_time: string;
}

/** The names that the nodes of any cluster have, in order. */
export const nodeNames: readonly string[] = ['n1', 'n2', 'n3'];

/**
 * By name. A survivor is a process with the recorded id and start time that runs as this node of this data directory.
 * @throws FabricError CONFLICT when a node runs whose state file is lost: its ports are unknown, its store is in use.
 */
export async function findSurvivors(dataDir: string): Promise<Map<string, Survivor>> {
  const found = new Map<string, Survivor>();
  for (const name of nodeNames) {
    const files = new NodeFiles(dataDir, name);
    const state = await files.readState();
    // The starter may have died before it could record the id; the node itself wrote it too.
    const pid = state?.pid ?? (await files.readPid());
    const info = pid === undefined ? undefined : await readProcess(pid);
    if (pid === undefined || !info?.command.includes(files.pidFile)) continue;
    if (!state) {
      throw new FabricError(
        'CONFLICT',
        `node ${name} of ${dataDir} runs as process ${pid}, but its state file ${files.state} is missing or damaged. End it (kill ${pid}), then start again.`,
      );
    }
    if (state.start_time === null || state.start_time === info.start_time) {
      found.set(name, { state, pid, start_time: info.start_time });
    }
  }
  return found;
}

/** The process ids of the nodes of a data directory that run now, whoever started them. */
export async function runningNodes(dataDir: string): Promise<number[]> {
  return [...(await findSurvivors(dataDir)).values()].map((survivor) => survivor.pid);
}
