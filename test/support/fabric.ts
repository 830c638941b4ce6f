/** A whole fabric of a test's own, as `infrafabric up` runs it: three nodes, and services in processes of their own. */
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import Sqlite from 'better-sqlite3';
import pino from 'pino';
import { EmbeddedFabric } from '../../actors/fabric/embedded-fabric.ts';
import { resolveConfig } from '../../src/config/resolve.ts';
import { join as joinFabric, type Membership } from '../../src/sdk/join.ts';
import { tempDir } from './temp.ts';

export interface TestFabric {
  readonly fabric: EmbeddedFabric;
  readonly dataDir: string;
  readonly escalations: readonly string[];
  readonly witnessDb: string;
  credsOf(swarmId: string): Promise<string>;
  /** Joins as this swarm, or as the operator; left again by `stop`. */
  join(swarmId: string): Promise<Membership['client']>;
  /** The process of the node that leads the actors' log. */
  leaderPid(): Promise<number>;
  /** Rows of the witness. */
  rows<Row>(sql: string): Row[];
  stop(): Promise<void>;
}

const log = pino({ level: process.env['TEST_LOG'] ?? 'silent' });

export async function startTestFabric(flags: Record<string, unknown> = {}): Promise<TestFabric> {
  const dir = await tempDir();
  const { config } = await resolveConfig({ flags: { data_dir: dir.path, ...flags }, env: process.env, cwd: dir.path });
  const escalations: string[] = [];
  const members: Membership[] = [];
  let fabric: EmbeddedFabric;
  try {
    fabric = await EmbeddedFabric.start({ config, log, onEscalation: (reason) => escalations.push(reason) });
  } catch (error) {
    await dir.remove();
    throw error;
  }
  const { identity } = fabric;
  if (!identity) throw new Error('an embedded fabric has an identity');
  const credsOf = async (swarmId: string) =>
    await (swarmId === 'operator' ? identity.operatorCreds() : identity.mintSwarm(swarmId));
  const witnessDb = join(dir.path, 'witness.db');
  return {
    fabric,
    dataDir: dir.path,
    escalations,
    witnessDb,
    credsOf,
    async join(swarmId) {
      const member = await joinFabric({ servers: fabric.servers, creds: await credsOf(swarmId), timeoutMs: 60_000 });
      members.push(member);
      return member.client;
    },
    async leaderPid() {
      const jsm = await jetstreamManager(fabric.nc, { checkAPI: false });
      const leader = (await jsm.streams.info(fabric.namespace.actorsStream)).cluster?.leader;
      const pid = fabric.cluster?.nodes.find(({ name }) => name === leader)?.pid;
      if (!pid) throw new Error(`the leader ${leader} has no process`);
      return pid;
    },
    rows<Row>(sql: string) {
      const sqlite = new Sqlite(witnessDb, { readonly: true });
      try {
        return sqlite.prepare<[], Row>(sql).all();
      } finally {
        sqlite.close();
      }
    },
    async stop() {
      await Promise.all(members.map(async (member) => await member.close()));
      await fabric.stop(log);
      await dir.remove();
    },
  };
}
