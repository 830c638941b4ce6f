/** A fabric in the process of a test: a real cluster, its streams and epoch, and services that run here. */
import type { NatsConnection } from '@nats-io/nats-core';
import pino from 'pino';
import { Coordinator } from '../../actors/coordinator/coordinator.ts';
import type { RunningService, ServiceContext, ServiceSettings } from '../../actors/service.ts';
import { Witness } from '../../actors/witness/witness.ts';
import { defaultPolicy } from '../../machines/policy/values.ts';
import { FabricClient } from '../../src/bus/client.ts';
import type { Encoding } from '../../src/data/codec.ts';
import { establishEpoch } from '../../src/store/epoch.ts';
import { withStreams } from '../store/fixtures.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';

export interface TestFabric {
  readonly cluster: TestCluster;
  /** What a service that is started by hand is given. */
  context(name: string, settings?: Partial<ServiceSettings>): Promise<ServiceContext>;
  /** A further coordinator, on a connection of its own; stopped with the fabric. */
  coordinator(settings?: Partial<ServiceSettings>): Promise<Coordinator>;
  witness(settings?: Partial<ServiceSettings>): Promise<Witness>;
  /** A client with a swarm's own credentials, or the operator's. */
  client(
    swarmId: string,
    options?: { encoding?: Encoding; timeoutMs?: number; attemptTimeoutMs?: number },
  ): Promise<FabricClient>;
  stop(): Promise<void>;
}

export async function startFabric(options: { nodes?: 1 | 3 } = {}): Promise<TestFabric> {
  const { nodes = 1 } = options;
  const cluster = await startTestCluster({ nodes });
  const { namespace, identity } = cluster;
  const running: RunningService[] = [];
  const admin = await withStreams(cluster, nodes);
  await establishEpoch(admin, namespace, new Map(), Date.now());
  const keep = <Service extends RunningService>(service: Service): Service => {
    running.push(service);
    return service;
  };
  const context = async (name: string, settings: Partial<ServiceSettings> = {}): Promise<ServiceContext> => ({
    nc: await cluster.connect(await identity.serviceCreds(name)),
    namespace,
    log: pino({ level: process.env['TEST_LOG'] ?? 'silent' }),
    settings: {
      data_dir: cluster.dataDir,
      policy: defaultPolicy,
      policies_dir: null,
      lease_ms: 30_000,
      liveness_ms: 30_000,
      archive_after_ms: 3_600_000,
      mailbox_max_age_ms: 604_800_000,
      checkpoint_every_ms: 0,
      checkpoint_file: undefined,
      witness_retain_ms: 0,
      redact_keys: [],
      ...settings,
    },
  });
  return {
    cluster,
    context,
    coordinator: async (settings) => keep(await Coordinator.start(await context('coordinator', settings))),
    witness: async (settings) => keep(await Witness.start(await context('witness', settings))),
    async client(swarmId, clientOptions = {}) {
      const creds = swarmId === 'operator' ? undefined : await identity.mintSwarm(swarmId);
      const nc: NatsConnection = await cluster.connect(creds);
      return new FabricClient({ nc, namespace, callerId: swarmId, ...clientOptions });
    },
    async stop() {
      for (const service of running.reverse()) await service.stop();
      await cluster.stop();
    },
  };
}
