/** A fabric of a test's own whose data directory outlives it, so that it can be stopped, lost and started again. */
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import pino from 'pino';
import { EmbeddedFabric } from '../../actors/fabric/embedded-fabric.ts';
import type { FabricClient } from '../../src/bus/client.ts';
import { resolveConfig } from '../../src/config/resolve.ts';
import { join as joinFabric, type Membership } from '../../src/sdk/join.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const log = pino({ level: process.env['TEST_LOG'] ?? 'silent' });

export class LastingFabric {
  readonly dir: TempDir;
  readonly #flags: Record<string, unknown>;
  /** What the present run told for people. */
  told: string[] = [];
  escalations: string[] = [];
  #fabric: EmbeddedFabric | undefined;
  #members: Membership[] = [];

  private constructor(dir: TempDir, flags: Record<string, unknown>) {
    this.dir = dir;
    this.#flags = flags;
  }

  static async create(flags: Record<string, unknown> = {}): Promise<LastingFabric> {
    return new LastingFabric(await tempDir(), flags);
  }

  get fabric(): EmbeddedFabric {
    if (!this.#fabric) throw new Error('the fabric does not run');
    return this.#fabric;
  }

  get witnessDb(): string {
    return join(this.dir.path, 'witness.db');
  }

  async up(flags: Record<string, unknown> = {}): Promise<void> {
    const { config } = await resolveConfig({
      flags: { data_dir: this.dir.path, ...this.#flags, ...flags },
      env: process.env,
      cwd: this.dir.path,
    });
    this.told = [];
    this.#fabric = await EmbeddedFabric.start({
      config,
      log,
      onProgress: (line) => this.told.push(line),
      onEscalation: (reason) => this.escalations.push(reason),
    });
  }

  /** A drained stop, as of SIGTERM. */
  async down(): Promise<void> {
    await this.#leave();
    await this.#fabric?.stop(log);
    this.#fabric = undefined;
  }

  /** Ends all nodes at once, without warning. */
  killNodes(): void {
    for (const { pid } of this.fabric.cluster?.nodes ?? []) if (pid !== null) process.kill(pid, 'SIGKILL');
  }

  async join(swarmId: string): Promise<FabricClient> {
    const { identity, servers } = this.fabric;
    if (!identity) throw new Error('an embedded fabric has an identity');
    const creds = await (swarmId === 'operator' ? identity.operatorCreds() : identity.mintSwarm(swarmId));
    const member = await joinFabric({ servers, creds, timeoutMs: 60_000 });
    this.#members.push(member);
    return member.client;
  }

  rows<Row>(sql: string): Row[] {
    const sqlite = new Sqlite(this.witnessDb, { readonly: true });
    try {
      return sqlite.prepare<[], Row>(sql).all();
    } finally {
      sqlite.close();
    }
  }

  async remove(): Promise<void> {
    await this.down();
    await this.dir.remove();
  }

  async #leave(): Promise<void> {
    await Promise.all(this.#members.splice(0).map(async (member) => await member.close()));
  }
}
