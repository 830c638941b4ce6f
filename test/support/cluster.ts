/** A real cluster of a test's own: real nats-server processes, a data directory and an identity, all gone after `stop`. */
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { obtainServer } from '../../src/cluster/binary.ts';
import { type Cluster, startCluster } from '../../src/cluster/cluster.ts';
import type { ClusterEvent } from '../../src/cluster/events.ts';
import { authFromCreds } from '../../src/identity/connect-auth.ts';
import { type Identity, openIdentity } from '../../src/identity/identity.ts';
import { Namespace } from '../../src/namespace.ts';
import { tempDir } from './temp.ts';

export interface TestCluster {
  readonly cluster: Cluster;
  readonly dataDir: string;
  readonly namespace: Namespace;
  readonly identity: Identity;
  /** What the supervision of the nodes told so far. */
  readonly events: readonly ClusterEvent[];
  /** A connection with these credentials, by default the operator's; closed by `stop`. */
  connect(creds?: string): Promise<NatsConnection>;
  /** Closes the connections, ends the nodes and removes the data directory. */
  stop(): Promise<void>;
}

export interface TestClusterOptions {
  /** Default 3. */
  readonly nodes?: 1 | 3;
  /** Default memory. */
  readonly storage?: 'memory' | 'file';
  /** Default IF. */
  readonly namespace?: string;
}

/** Resolves when every node is healthy. Call `stop` in `afterAll` or `afterEach`. */
export async function startTestCluster(options: TestClusterOptions = {}): Promise<TestCluster> {
  const { path: binary } = await obtainServer();
  const dir = await tempDir();
  const events: ClusterEvent[] = [];
  const connections: NatsConnection[] = [];
  const namespace = new Namespace(options.namespace);
  try {
    const identity = await openIdentity(dir.path, namespace);
    const cluster = await startCluster({
      binary,
      dataDir: dir.path,
      nodes: options.nodes ?? 3,
      storage: options.storage ?? 'memory',
      basePort: 0,
      clusterName: 'if-test',
      auth: identity,
      onEvent: (event) => events.push(event),
    });
    return {
      cluster,
      dataDir: dir.path,
      namespace,
      identity,
      events,
      async connect(creds) {
        const { authenticator, inboxPrefix } = authFromCreds(creds ?? (await identity.operatorCreds()));
        const connection = await connect({ servers: [...cluster.servers], authenticator, inboxPrefix });
        connections.push(connection);
        return connection;
      },
      async stop() {
        await Promise.all(connections.map((connection) => connection.close()));
        await cluster.stop();
        await dir.remove();
      },
    };
  } catch (error) {
    await dir.remove();
    throw error;
  }
}
