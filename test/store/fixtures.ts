/** Actors, causes and streams for the tests of the store. */
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { ensureStreams } from '../../src/store/streams.ts';
import { newId } from '../../src/store/unique-id.ts';
import type { TestCluster } from '../support/cluster.ts';

export const cause = { by: 'alpha', trace_id: 'trace-1' } as const;

/** An id that no other test uses. */
export function freshId(name = 'x'): string {
  return `${name}-${newId()}`;
}

export const create = { type: 'CREATE', task_type: 'build', by: 'alpha', trace_id: 'trace-1', open_dependencies: [] };

export const register = { type: 'REGISTER', capabilities: [], cost_per_hour: 1 };

/** What a claim knows of a swarm that is fit for everything. */
export const fit = {
  registration: 'registered',
  liveness: 'online',
  circuit: 'closed',
  circuit_reasons: [],
  capabilities: [],
  revision: 1,
};

export function claim(owner: string, swarm: object = fit) {
  return { type: 'CLAIM', owner, epoch: 1, swarm, min_capability_match: 0.7, reserve_usd: null };
}

export function release(by: string, stored: StoredRecord) {
  return { type: 'RELEASE', by, token: (stored.record.snapshot.context as { token: number }).token };
}

export async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/** The streams of a fabric on a cluster of a test. */
export async function withStreams(cluster: TestCluster, replicas = 3): Promise<NatsConnection> {
  const nc = await cluster.connect();
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  await ensureStreams(jsm, cluster.namespace, { replicas, storage: 'memory', maxLogBytes: 256 * 1024 * 1024 });
  return nc;
}
