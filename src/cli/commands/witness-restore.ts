/**
 * `infrafabric witness restore`: gives an empty fabric the history of a witness database, and the state that it ended with:
 * with the next `up` of the data directory, or at once in a cluster that is named.
 */

import { chmodSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { openLog } from '../../../actors/fabric/fabric-log.ts';
import { connectTo } from '../../bus/connection.ts';
import { NodeFiles } from '../../cluster/node-files.ts';
import { checkServers } from '../../cluster/requirements.ts';
import { nodeNames, runningNodes } from '../../cluster/survivors.ts';
import type { Config } from '../../config/settings.ts';
import { lockDataDir } from '../../data-dir/lock.ts';
import { FabricError } from '../../errors.ts';
import { authFromCreds } from '../../identity/connect-auth.ts';
import { readCredentialsFile } from '../../identity/credentials-file.ts';
import { Namespace } from '../../namespace.ts';
import { readStartedEpoch } from '../../store/epoch.ts';
import { parseChain } from '../../witness/chain-name.ts';
import { WitnessDatabase } from '../../witness/database.ts';
import { witnessPath } from '../../witness/files.ts';
import { readTrustedKeys, trustAlso, trustedKeysOf } from '../../witness/proofs/signing-key.ts';
import { openReadOnly } from '../../witness/read-only.ts';
import { type Verification, verifyDatabase, wholeFile } from '../../witness/verify/verify.ts';
import { textOf } from '../option-values.ts';
import { exitCodes } from '../output.ts';
import type { CommandRun } from '../program.ts';

interface Restoration {
  readonly epoch: number;
  readonly actors: number;
  readonly keys: number;
}

export const restore: CommandRun = async (context, _, options) => {
  const { out, signal } = context;
  const { config } = await context.resolve();
  const source = resolve(textOf(options, '--db') ?? '');
  const own = resolve(witnessPath(config.data_dir));
  const key = textOf(options, '--key');
  const namespace = new Namespace(config.namespace);
  if (!statSync(source, { throwIfNoEntry: false })?.isFile())
    throw new FabricError('UNAVAILABLE', `there is no file ${source}; give the path of a witness database`);

  mkdirSync(config.data_dir, { recursive: true, mode: 0o700 });
  const lock = await lockDataDir(config.data_dir);
  try {
    const isInPlace = source === own && config.servers.length > 0;
    if (!isInPlace) await refuseUsed(config, own);
    const trusted = key === undefined ? trustedKeysOf(config.data_dir) : readTrustedKeys(key);
    const verification = verifyDatabase(source, { trusted });
    requireWhole(source, verification, namespace);
    const entries = verification.chains.reduce((sum, chain) => sum + chain.entries, 0);
    // Before anything is written: a cluster that has its epoch leaves no copy behind.
    const restoring = config.servers.length > 0 ? await Target.open(config, namespace) : undefined;
    let restored: Restoration | null = null;
    try {
      if (!isInPlace) await copy(source, own);
      // What was pruned from it is believed from now on because of the signature that was believed here.
      if (key !== undefined) await trustAlso(config.data_dir, key);
      restored = (await restoring?.restore((line) => out.note(line), signal)) ?? null;
    } finally {
      await restoring?.close();
    }
    out.data({ db: source, copied_to: isInPlace ? null : own, chains: verification.chains.length, entries, restored });
    if (!isInPlace) out.line(`${entries} entries of ${source}, verified, are in ${own} now`);
    if (restored === null) out.line(`\`infrafabric up --data-dir ${config.data_dir}\` restores what they hold`);
    else out.line(`epoch ${restored.epoch} is open, with ${restored.actors} actors and ${restored.keys} keys restored`);
    return exitCodes.done;
  } finally {
    await lock.release();
  }
};

/** A fabric that has a history of its own would have two. */
async function refuseUsed(config: Config, own: string): Promise<void> {
  const running = await runningNodes(config.data_dir);
  if (running.length > 0) {
    throw new FabricError(
      'CONFLICT',
      `nodes of ${config.data_dir} still run (processes ${running.join(', ')}), and their memory is its state; stop them, or choose another --data-dir`,
    );
  }
  const stores = await Promise.all(
    nodeNames.map(async (name) => new NodeFiles(config.data_dir, name).hasDurableStore()),
  );
  if (stores.some(Boolean)) {
    throw new FabricError(
      'CONFLICT',
      `${config.data_dir} holds the durable store of a fabric; a history is restored into an empty one: choose another --data-dir`,
    );
  }
  if ((statSync(own, { throwIfNoEntry: false })?.size ?? 0) > 0 && hasEntries(own)) {
    throw new FabricError(
      'CONFLICT',
      `${own} has a history of its own, from which \`infrafabric up\` restores by itself; choose another --data-dir, or move that file away`,
    );
  }
}

function hasEntries(path: string): boolean {
  const { sqlite, close } = openReadOnly(path);
  try {
    return sqlite.prepare('SELECT 1 FROM entries LIMIT 1').get() !== undefined;
  } catch {
    // What is there cannot be read, and is not ours to write over.
    return true;
  } finally {
    close();
  }
}

/** @throws FabricError CONFLICT for a history with faults or of another fabric, UNAVAILABLE when it cannot be read */
function requireWhole(path: string, { ok, chains }: Verification, namespace: Namespace): void {
  const errors = chains.flatMap((chain) => chain.errors.map((error) => ({ chain: chain.chain, ...error })));
  const [first] = errors;
  if (!ok && first) {
    const place = first.chain === wholeFile ? path : `${first.chain}/${first.seq}`;
    throw new FabricError(
      first.code === 'UNREADABLE' ? 'UNAVAILABLE' : 'CONFLICT',
      `${path} is not restored, for it does not verify: ${place}: ${first.code}, ${first.message}${errors.length > 1 ? `, and ${errors.length - 1} more` : ''}; see \`infrafabric witness verify --db ${path}\``,
      { errors: errors.slice(0, 20) },
    );
  }
  const labels = new Set(namespace.auditedStreams.map(({ label }) => label));
  const foreign = chains.find(({ chain }) => !labels.has(parseChain(chain)?.label ?? ''));
  if (foreign || chains.length === 0) {
    const what = foreign ? `holds the chain ${foreign.chain}` : 'has no entries';
    throw new FabricError(
      'CONFLICT',
      `${path} ${what}, nothing of the namespace ${namespace.name}; name the namespace of that fabric with --namespace`,
    );
  }
}

/** A consistent copy, also of a file that a witness is writing to; there under its name only when it is whole. */
async function copy(source: string, own: string): Promise<void> {
  const part = `${own}.restoring`;
  const { sqlite, close } = openReadOnly(source);
  try {
    rmSync(part, { force: true });
    await sqlite.backup(part);
    chmodSync(part, 0o600);
    // Leaves it without side files, and shows that it can be written to.
    WitnessDatabase.open(part).close();
    renameSync(part, own);
  } finally {
    close();
    for (const left of [part, `${part}-wal`, `${part}-shm`]) rmSync(left, { force: true });
  }
}

/** The cluster that `--servers` names. */
class Target {
  readonly #config: Config;
  readonly #namespace: Namespace;
  readonly #nc: Awaited<ReturnType<typeof connectTo>>;

  private constructor(config: Config, namespace: Namespace, nc: Awaited<ReturnType<typeof connectTo>>) {
    this.#config = config;
    this.#namespace = namespace;
    this.#nc = nc;
  }

  /** @throws FabricError CONFLICT when it has an epoch; UNAVAILABLE, UNAUTHORIZED */
  static async open(config: Config, namespace: Namespace): Promise<Target> {
    const { authenticator, inboxPrefix } = authFromCreds(await readCredentialsFile(config.creds));
    const nc = await connectTo({ servers: config.servers, authenticator, inboxPrefix, name: 'restore' });
    try {
      await checkServers(nc);
      const epoch = await readStartedEpoch(nc, namespace).catch((error: unknown) => {
        if (error instanceof FabricError && error.details?.['lost'] === true) return undefined;
        throw error;
      });
      if (epoch && !epoch.restoring) {
        throw new FabricError(
          'CONFLICT',
          `the fabric ${namespace.name} on ${config.servers.join(', ')} is in epoch ${epoch.epoch}; a history is restored into an empty one: use another namespace or cluster`,
        );
      }
      return new Target(config, namespace, nc);
    } catch (error) {
      await nc.close();
      throw error;
    }
  }

  async restore(onProgress: (line: string) => void, signal: AbortSignal): Promise<Restoration> {
    const [namespace, nc] = [this.#namespace, this.#nc];
    const config: Config = { ...this.#config, restore: 'auto' };
    const { epoch, restored } = await openLog({ config, namespace, nc, onProgress, signal });
    return { epoch: epoch.epoch, actors: restored?.actors ?? 0, keys: restored?.keys ?? 0 };
  }

  async close(): Promise<void> {
    await this.#nc.close();
  }
}
