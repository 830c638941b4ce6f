/** The state of a running fabric, asked of the nodes, the streams and the supervisors themselves. */
import { DeliverPolicy, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { ServiceStatus } from '../../actors/supervisor/supervisor.ts';
import { isHealthy } from '../cluster/health.ts';
import { findSurvivors } from '../cluster/survivors.ts';
import { FabricError } from '../errors.ts';
import type { FabricSession } from './fabric-session.ts';
import { supervisedServices } from './supervisors.ts';
import {
  askWitnesses,
  isAudited,
  type KnownWitness,
  type LagsByStream,
  lagsByStream,
  leastLag,
} from './witness-status.ts';

export interface NodeStatus {
  name: string;
  pid: number;
  port: number;
  healthy: boolean;
  /** Whether it leads the log of actors. */
  leader: boolean;
}

export interface StreamStatus {
  stream: string;
  messages: number;
  bytes: number;
  last_seq: number;
  leader: string | null;
  replicas: number;
  /** Messages that no witness has stored yet; null for streams that are not audited. */
  witness_lag: number | null;
}

export interface FabricStatus {
  namespace: string;
  servers: string[];
  /** Null when the fabric was not found through a data directory. */
  pid: number | null;
  version: string | null;
  started_at: number | null;
  /** Those of the data directory; none for a cluster that is not its own. */
  nodes: NodeStatus[];
  streams: StreamStatus[];
  services: ServiceStatus[];
  /** How many tasks are in each state. */
  tasks: Record<string, number>;
  /** How many swarms are in each state of registration, how many are online, and how many circuits are open. */
  swarms: Record<string, number>;
  /** How many blockers, and questions to people, are in each state. */
  blockers: Record<string, number>;
  approvals: Record<string, number>;
  /** Whether an operator paused all swarms. */
  paused: boolean;
  /** Messages of all streams that no witness has stored yet. */
  witness_lag: number;
  /** False while no witness can store what it is given: then nothing is changed. */
  audited: boolean;
  witnesses: KnownWitness[];
}

/** @throws FabricError UNAVAILABLE when the streams cannot be asked */
export async function fabricStatus(session: FabricSession): Promise<FabricStatus> {
  const { client, namespace, servers, file } = session;
  try {
    const jsm = await jetstreamManager(client.connection, { checkAPI: false });
    const lags = await lagsByStream(jsm, namespace);
    const [streams, witnesses, services, counts] = await Promise.all([
      streamStatus(jsm, session, lags),
      askWitnesses(client, lags),
      supervisedServices(session),
      countActors(session),
    ]);
    const leader = streams.find(({ stream }) => stream === namespace.actorsStream)?.leader ?? null;
    return {
      namespace: namespace.name,
      servers: [...servers],
      pid: file?.pid ?? null,
      version: file?.version ?? null,
      started_at: file?.started_at ?? null,
      nodes: await nodeStatus(session, leader),
      streams,
      services: services.flat().sort((a, b) => (a.id < b.id ? -1 : 1)),
      ...counts,
      witness_lag: streams.reduce((sum, { witness_lag }) => sum + (witness_lag ?? 0), 0),
      audited: isAudited(witnesses),
      witnesses,
    };
  } catch (error) {
    if (error instanceof FabricError) throw error;
    throw new FabricError(
      'UNAVAILABLE',
      `the streams of ${namespace.name} cannot be asked (${error instanceof Error ? error.message : String(error)}); \`infrafabric doctor\` looks for the reason`,
      undefined,
      { cause: error },
    );
  }
}

/** The nodes of the data directory that run, in order. */
export async function nodeStatus(
  { config, file }: Pick<FabricSession, 'config' | 'file'>,
  leader: string | null,
): Promise<NodeStatus[]> {
  if (!file) return [];
  const survivors = await findSurvivors(config.data_dir);
  return await Promise.all(
    [...survivors].map(async ([name, { pid, state }]) => {
      return { name, pid, port: state.port, healthy: await isHealthy(state.http_port), leader: name === leader };
    }),
  );
}

async function streamStatus(
  jsm: JetStreamManager,
  { namespace }: FabricSession,
  lags: LagsByStream,
): Promise<StreamStatus[]> {
  const names = [
    namespace.actorsStream,
    namespace.busStream,
    namespace.journalStream,
    namespace.timersStream,
    namespace.inboxStream,
  ];
  return await Promise.all(
    names.map(async (stream) => {
      const { state, cluster, config } = await jsm.streams.info(stream);
      const progress = lags.get(stream);
      return {
        stream,
        messages: state.messages,
        bytes: state.bytes,
        last_seq: state.last_seq,
        leader: cluster?.leader ?? null,
        replicas: config.num_replicas,
        witness_lag: progress ? leastLag(progress, state.messages) : null,
      };
    }),
  );
}

type Counts = Pick<FabricStatus, 'tasks' | 'swarms' | 'blockers' | 'approvals' | 'paused'>;

/** Counts the last record of every task, swarm, blocker and approval by its headers, which name the state. */
async function countActors({ client, namespace }: FabricSession): Promise<Counts> {
  const counts = { task: {}, swarm: { online: 0, open: 0 }, blocker: {}, approval: {}, fleet: {} };
  const count = (kind: string, state: string) => {
    const states = (counts as Record<string, Record<string, number>>)[kind];
    if (states) states[state] = (states[state] ?? 0) + 1;
  };
  const consumer = await jetstream(client.connection).consumers.get(namespace.actorsStream, {
    filter_subjects: Object.keys(counts).map((kind) => `$KV.${namespace.actorsBucket}.${kind}.>`),
    deliver_policy: DeliverPolicy.LastPerSubject,
    headers_only: true,
  });
  const { num_pending } = await consumer.info();
  const messages = num_pending === 0 ? [] : await consumer.consume({ max_messages: 5_000 });
  for await (const message of messages) {
    const kind = message.headers?.get('IF-Kind') ?? 'unknown';
    const states = (message.headers?.get('IF-State') ?? 'unknown').split('.');
    if (kind !== 'swarm') count(kind, states[0]!);
    else {
      const [registration = 'unknown', liveness, circuit] = states;
      count(kind, registration);
      if (liveness === 'online') count(kind, 'online');
      if (circuit === 'open') count(kind, 'open');
    }
    if (message.info.pending === 0) break;
  }
  const { task: tasks, swarm: swarms, blocker: blockers, approval: approvals, fleet } = counts;
  return { tasks, swarms, blockers, approvals, paused: 'paused' in fleet };
}
