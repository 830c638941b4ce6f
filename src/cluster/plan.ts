/**
 * Decides, before anything is started, which nodes are adopted and which are started where. Refuses what would lose
 * state: another number of nodes or another storage than the nodes that still run, or than a durable store, has.
 */
import { FabricError } from '../errors.ts';
import type { NodePorts } from './node-config.ts';
import { NodeFiles, type NodeState, type Storage } from './node-files.ts';
import { isPortFree, pickPorts } from './ports.ts';
import { findSurvivors, nodeNames, type Survivor } from './survivors.ts';

export interface PlannedNode {
  readonly ports: NodePorts;
  readonly files: NodeFiles;
  /** Set when the node still runs. */
  readonly survivor?: Survivor;
}

export interface Plan {
  readonly nodes: readonly PlannedNode[];
  readonly adopted: number;
  readonly clusterName: string;
}

export interface PlanOptions {
  readonly dataDir: string;
  readonly nodes: 1 | 3;
  readonly storage: Storage;
  readonly basePort: number;
  readonly clusterName: string;
}

/** @throws FabricError INVALID_REQUEST or CONFLICT, saying what stands against these options. */
export async function planCluster(options: PlanOptions): Promise<Plan> {
  const survivors = await findSurvivors(options.dataDir);
  const states = [...survivors.values()].map((survivor) => survivor.state);
  for (const state of states) refuseChange(state, options);
  if (options.storage === 'file') await refuseOtherStore(options);

  const names = nodeNames.slice(0, options.nodes);
  const taken = new Set(states.flatMap((state) => [state.port, state.route_port, state.http_port]));
  const nodes: PlannedNode[] = [];
  for (const [index, name] of names.entries()) {
    const files = new NodeFiles(options.dataDir, name);
    const survivor = survivors.get(name);
    // Beside survivors a missing node goes where it was, since they look for it there.
    const former = survivor?.state ?? (survivors.size > 0 ? await files.readState() : undefined);
    const ports = survivor ? survivor.state : await choosePorts(name, index, former, taken, options);
    for (const port of [ports.port, ports.route_port, ports.http_port]) taken.add(port);
    const { port, route_port, http_port } = ports;
    nodes.push({ ports: { name, port, route_port, http_port }, files, ...(survivor ? { survivor } : {}) });
  }
  return { nodes, adopted: survivors.size, clusterName: states[0]?.cluster_name ?? options.clusterName };
}

async function choosePorts(
  name: string,
  index: number,
  former: NodeState | undefined,
  taken: ReadonlySet<number>,
  { basePort, nodes }: PlanOptions,
): Promise<NodePorts> {
  const avoid = new Set([...taken, ...(basePort > 0 ? [basePort, basePort + 1, basePort + 2] : [])]);
  const [spare0 = 0, spare1 = 0, spare2 = 0] = await pickPorts(3, avoid);
  const again = async (port: number | undefined, spare: number): Promise<number> =>
    port !== undefined && (await isPortFree(port)) ? port : spare;
  const route_port = await again(former?.route_port, spare1);
  const http_port = await again(former?.http_port, spare2);
  if (basePort === 0) return { name, port: await again(former?.port, spare0), route_port, http_port };

  const port = basePort + index;
  if (taken.has(port) || !(await isPortFree(port))) {
    const all = nodes === 1 ? `${basePort}` : `${basePort} to ${basePort + nodes - 1}`;
    throw new FabricError(
      'INVALID_REQUEST',
      `port ${port} on 127.0.0.1 is in use, and the nodes were to listen on ${all}. End what listens there, or choose another port (0 takes any free ones).`,
      { port },
    );
  }
  return { name, port, route_port, http_port };
}

function refuseChange(state: NodeState, { nodes, storage, basePort }: PlanOptions): void {
  const first = state.port - nodeNames.indexOf(state.name);
  let difference: string | undefined;
  if (state.nodes !== nodes) difference = `in a cluster of ${state.nodes}, and ${nodes} was asked for`;
  else if (state.storage !== storage) difference = `with storage ${state.storage}, and ${storage} was asked for`;
  else if (basePort > 0 && first !== basePort) {
    difference = `on port ${state.port}, and ports from ${basePort} on were asked for (0 takes what there is)`;
  }
  if (difference === undefined) return;
  throw new FabricError(
    'INVALID_REQUEST',
    `node ${state.name} still runs ${difference}. Its memory is the state: take it over with the same options, or stop the fabric before changing them.`,
  );
}

/** A durable store of one node is not one of three: nodes would take its streams for strangers and delete them. */
async function refuseOtherStore({ dataDir, nodes }: PlanOptions): Promise<void> {
  const [first, ...others] = await Promise.all(nodeNames.map((name) => new NodeFiles(dataDir, name).hasDurableStore()));
  const ofThree = others.some(Boolean);
  if (nodes === 1 ? ofThree : first && !ofThree) {
    const has = ofThree ? 3 : 1;
    throw new FabricError(
      'INVALID_REQUEST',
      `${dataDir} holds a durable store of ${has} node${has === 1 ? '' : 's'}, and ${nodes} was asked for. Start with ${has}, or use another data directory.`,
    );
  }
}
