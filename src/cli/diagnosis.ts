/**
 * The checks of `infrafabric doctor`. Each says what it found; one that failed says what to do. What cannot be checked,
 * because nothing runs or nothing is there yet, is skipped with the reason.
 */

import { access, constants, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { obtainServer } from '../cluster/binary.ts';
import { isPortFree } from '../cluster/ports.ts';
import { checkServers } from '../cluster/requirements.ts';
import type { Config } from '../config/settings.ts';
import { checkPolicies } from '../policy/check.ts';
import { findingText } from '../policy/findings.ts';
import { witnessPath } from '../witness/files.ts';
import { trustedKeysOf } from '../witness/proofs/trusted-keys.ts';
import { verifyDatabase } from '../witness/verify/verify.ts';
import { type FabricPlace, findFabric, isRunning, withFabric } from './fabric-session.ts';
import { nodeStatus } from './fabric-status.ts';
import type { CommandContext } from './program.ts';
import { supervisedServices } from './supervisors.ts';
import { askWitnesses, isAudited, lagsByStream } from './witness-status.ts';

export interface Check {
  check: string;
  result: 'ok' | 'failed' | 'skipped';
  found: string;
  /** What to do; empty unless it failed. */
  todo: string;
}

/** A larger database takes too long to verify on the way, bytes. */
const quickVerifyBytes = 256 * 1024 * 1024;
const leastNode = [20, 19] as const;

const ok = (found: string) => ({ result: 'ok' as const, found, todo: '' });
const skipped = (found: string) => ({ result: 'skipped' as const, found, todo: '' });
const failed = (found: string, todo: string) => ({ result: 'failed' as const, found, todo });

type Found = Omit<Check, 'check'>;

/** Never throws; what goes wrong in a check is its finding. */
export async function diagnose(context: CommandContext): Promise<Check[]> {
  const { config } = await context.resolve();
  const place = await findFabric(context).catch(() => undefined);
  const running = place !== undefined && (await isRunning(place));
  const checks: ReadonlyArray<readonly [string, string, () => Promise<Found> | Found]> = [
    ['node', 'install Node.js 20.19 or newer', nodeVersion],
    [
      'nats-server',
      'put a nats-server 2.12 or newer on PATH, or name one in IF_NATS_SERVER',
      async () => await natsServer(context, config),
    ],
    [
      'data directory',
      'choose another with --data-dir, or correct its rights',
      async () => await dataDirectory(config),
    ],
    ['secrets', 'make them readable by their owner only: chmod 600', async () => await secrets(config)],
    ['policies', '`infrafabric policy check` names each mistake', async () => await policies(config)],
    ['ports', 'choose others with --port, or 0 for any that are free', async () => await ports(config, running)],
    ['fabric', `start it with \`infrafabric up --data-dir ${config.data_dir}\``, () => fabric(place, running)],
    [
      'nodes',
      `the logs in ${join(config.data_dir, 'logs')} say why; \`infrafabric up\` restarts nodes`,
      async () => await nodes(place, running),
    ],
    [
      'cluster',
      'check --servers and --creds, and that the servers are 2.12 or newer with JetStream',
      async () => await cluster(context, running),
    ],
    [
      'services',
      `the logs in ${join(config.data_dir, 'logs')} say why; \`infrafabric restart all\` starts them again`,
      async () => await services(context, running),
    ],
    [
      'audit',
      'give the disk of the witness database space, or correct its rights; the witness then goes on by itself',
      async () => await audit(context, running),
    ],
    [
      'witness',
      '`infrafabric witness verify` names each fault; keep a copy of the file',
      async () => await witness(config),
    ],
  ];
  const found: Check[] = [];
  for (const [check, todo, run] of checks) {
    const finding = await Promise.resolve()
      .then(run)
      .catch((error: unknown) =>
        failed(error instanceof Error ? error.message.split('\n', 1)[0]! : String(error), todo),
      );
    found.push({ check, ...finding, todo: finding.result === 'failed' ? finding.todo || todo : '' });
  }
  return found;
}

function nodeVersion(): Found {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isNewEnough = major > leastNode[0] || (major === leastNode[0] && minor >= leastNode[1]);
  return isNewEnough ? ok(`Node.js ${process.versions.node}`) : failed(`Node.js ${process.versions.node}`, '');
}

async function natsServer({ out, signal }: CommandContext, config: Config): Promise<Found> {
  if (config.servers.length > 0) return skipped('the servers of --servers are used');
  const { version, source, path } = await obtainServer({
    cacheDir: config.cache_dir,
    onProgress: (line) => out.note(line),
    signal,
  });
  return ok(`${version} from ${source}: ${path}`);
}

async function dataDirectory({ data_dir }: Config): Promise<Found> {
  const status = await stat(data_dir).catch(() => undefined);
  if (!status) {
    await access(await nearestFolder(dirname(data_dir)), constants.W_OK);
    return ok(`${data_dir} is not there yet and can be made`);
  }
  if (!status.isDirectory()) return failed(`${data_dir} is not a folder`, '');
  await access(data_dir, constants.R_OK | constants.W_OK | constants.X_OK);
  const mode = status.mode & 0o777;
  if ((mode & 0o077) !== 0)
    return failed(`${data_dir} has mode ${mode.toString(8)}, others can look into it`, `chmod 700 ${data_dir}`);
  return ok(`${data_dir}, mode ${mode.toString(8)}`);
}

async function nearestFolder(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) {
    if (await stat(folder).catch(() => undefined)) return folder;
  }
}

async function secrets({ data_dir }: Config): Promise<Found> {
  const names = [
    'operator.creds',
    'fabric.json',
    'witness.db',
    'keys/operator.nk',
    'keys/fabric-signer.nk',
    'keys/swarm-signer.nk',
  ];
  const open: string[] = [];
  let present = 0;
  for (const name of names) {
    const status = await stat(join(data_dir, name)).catch(() => undefined);
    if (!status) continue;
    present += 1;
    if ((status.mode & 0o077) !== 0) open.push(name);
  }
  if (present === 0) return skipped('there are none yet');
  return open.length === 0
    ? ok('readable by their owner only')
    : failed(`others can read ${open.join(', ')}`, `chmod 600 ${open.map((name) => join(data_dir, name)).join(' ')}`);
}

async function policies({ policies: folder }: Config): Promise<Found> {
  if (!(await stat(folder).catch(() => undefined))) return ok(`built-in values; there is no ${folder}`);
  const files = await checkPolicies(folder);
  const [finding] = files.flatMap(({ findings }) => findings);
  if (finding) return failed(findingText(finding), '');
  const present = files.filter((file) => file.present).map(({ file }) => file);
  return ok(
    present.length > 0 ? `${present.join(', ')} as they should be` : `built-in values; ${folder} has no policy`,
  );
}

async function ports({ port, nodes, servers }: Config, running: boolean): Promise<Found> {
  if (running || servers.length > 0) return skipped('the fabric runs');
  if (port === 0) return ok('any free ports');
  const wanted = Array.from({ length: nodes }, (_, index) => port + index);
  const taken: number[] = [];
  for (const one of wanted) if (!(await isPortFree(one))) taken.push(one);
  return taken.length === 0
    ? ok(`${wanted.join(', ')} are free`)
    : failed(`${taken.join(', ')} in use by another process`, '');
}

function fabric(place: FabricPlace | undefined, running: boolean): Found {
  if (!place) return skipped('none runs from this data directory');
  if (!place.file) return ok(`an existing cluster: ${place.servers.join(', ')}`);
  if (!running) return failed(`process ${place.file.pid}, which ran it, is gone without stopping`, '');
  return ok(`${place.file.namespace} ${place.file.version}, process ${place.file.pid}`);
}

async function nodes(place: FabricPlace | undefined, running: boolean): Promise<Found> {
  if (!place?.file || !running) return skipped('no nodes of this data directory are expected to run');
  const found = await nodeStatus(place, null);
  const sick = found.filter(({ healthy }) => !healthy).map(({ name }) => name);
  if (found.length < place.servers.length) return failed(`${found.length} of ${place.servers.length} nodes run`, '');
  return sick.length === 0
    ? ok(`${found.map(({ name, pid }) => `${name} (${pid})`).join(', ')} are healthy`)
    : failed(`not healthy: ${sick.join(', ')}`, '');
}

async function cluster(context: CommandContext, running: boolean): Promise<Found> {
  if (!running) return skipped('nothing to connect to');
  return await withFabric(context, async ({ client, isOperator }) => {
    const version = client.connection.info?.version ?? 'unknown';
    if (!isOperator) return ok(`nats-server ${version} answers ${client.callerId}`);
    await checkServers(client.connection);
    return ok(`nats-server ${version} with JetStream, atomic batches and schedules`);
  });
}

async function services(context: CommandContext, running: boolean): Promise<Found> {
  if (!running) return skipped('nothing to ask');
  return await withFabric(context, async (session) => {
    if (!session.isOperator) return skipped('only operators may ask');
    const all = (await supervisedServices(session)).flat();
    const down = all.filter(({ state }) => state !== 'running');
    if (all.length === 0) return failed('no supervisor answers', '');
    if (down.length > 0)
      return failed(
        down
          .map(({ id, state, last_error }) => `${id} is ${state}${last_error === null ? '' : ` (${last_error})`}`)
          .join(', '),
        '',
      );
    return ok(`${all.map(({ id }) => id).join(', ')} run`);
  });
}

async function audit(context: CommandContext, running: boolean): Promise<Found> {
  if (!running) return skipped('nothing to ask');
  return await withFabric(context, async ({ client, namespace, isOperator }) => {
    if (!isOperator) return skipped('only operators may ask');
    const jsm = await jetstreamManager(client.connection, { checkAPI: false });
    const witnesses = await askWitnesses(client, await lagsByStream(jsm, namespace));
    const present = witnesses.filter(({ present }) => present);
    const [trouble] = witnesses.filter(({ audited }) => audited === false);
    const stopped = isAudited(witnesses) ? '' : '; nothing is changed meanwhile';
    if (trouble) return failed(`${trouble.place} cannot store: ${trouble.reason}${stopped}`, '');
    if (present.length === 0) return failed('no witness takes in what is logged', '`infrafabric restart witness`');
    return ok(`${present.length === 1 ? 'the witness stores' : `${present.length} witnesses store`} what is logged`);
  });
}

async function witness({ data_dir }: Config): Promise<Found> {
  const path = witnessPath(data_dir);
  const status = await stat(path).catch(() => undefined);
  if (!status) return skipped('there is no witness.db yet');
  if (status.size > quickVerifyBytes) return skipped(`${path} is large; run \`infrafabric witness verify\``);
  const { ok: isWhole, chains } = verifyDatabase(path, { trusted: trustedKeysOf(data_dir) });
  const entries = chains.reduce((sum, chain) => sum + chain.entries, 0);
  const faults = chains.flatMap(({ errors }) => errors);
  return isWhole
    ? ok(`${entries} entries in ${chains.length} chains, verified`)
    : failed(`${faults.length} faults, the first: ${faults[0]?.message}`, '');
}
