/** How a node is started: the one configuration file of all nodes, and the environment variables that it reads. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FabricError } from '../errors.ts';
import type { NodeAuth } from './auth.ts';
import type { NodeFiles, Storage } from './node-files.ts';

/** What tells one node of a cluster from the others. */
export interface NodePorts {
  readonly name: string;
  readonly port: number;
  readonly route_port: number;
  readonly http_port: number;
}

/** What all nodes of a cluster share. */
export interface ClusterConfig {
  readonly binary: string;
  readonly version: string;
  readonly storage: Storage;
  readonly nodes: number;
  readonly clusterName: string;
  /** Bytes. */
  readonly maxMemoryStore: number;
  readonly auth: NodeAuth;
  /** The ports on which the nodes meet, of all nodes. */
  readonly routePorts: readonly number[];
}

/** A limit, not a reservation of disk; streams reserve their own sizes below it. */
const maxFileStore = '64GB';

/** `nats.conf` at the top of this package, from the sources and from the compiled tree alike. */
export function configFile(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const file = join(folder, 'nats.conf');
    if (existsSync(file)) return file;
    if (folder === dirname(folder))
      throw new FabricError('INTERNAL', 'nats.conf is missing: install the package again');
  }
}

/**
 * The whole environment of a node; nothing of this process' own is passed on. The server parses values as configuration,
 * so text is quoted.
 */
export function nodeEnvironment(node: NodePorts, files: NodeFiles, cluster: ClusterConfig): Record<string, string> {
  const alone = cluster.nodes === 1;
  const auth = Object.entries(cluster.auth.environment).map(([name, value]) => [name, JSON.stringify(value)] as const);
  return {
    ...Object.fromEntries(auth),
    IF_NODE_NAME: JSON.stringify(node.name),
    IF_PORT: String(node.port),
    IF_HTTP: JSON.stringify(`127.0.0.1:${node.http_port}`),
    IF_LOG_FILE: JSON.stringify(files.log),
    IF_STORE_DIR: JSON.stringify(files.store(cluster.storage)),
    IF_MAX_MEMORY_STORE: String(cluster.maxMemoryStore),
    IF_MAX_FILE_STORE: maxFileStore,
    // What is acknowledged in the durable mode is on disk; in memory mode the disk holds votes and configurations only.
    IF_SYNC_INTERVAL: cluster.storage === 'file' ? 'always' : JSON.stringify('2m'),
    IF_CLUSTER_NAME: JSON.stringify(cluster.clusterName),
    // Port 0 turns clustering off: a node alone elects nobody.
    IF_ROUTE_PORT: alone ? '0' : String(node.route_port),
    IF_ROUTES: alone ? '[]' : JSON.stringify(cluster.routePorts.map((port) => `nats://127.0.0.1:${port}`)),
    IF_JWT_DIR: JSON.stringify(files.accounts),
  };
}

export function nodeArguments(files: NodeFiles): string[] {
  return ['-c', configFile(), '-P', files.pidFile];
}
