/**
 * `infrafabric serve`: more services for a fabric that runs, in this process, until SIGTERM or Ctrl-C. They are restarted
 * by `infrafabric restart` with those of `up`. A witness keeps a further copy of the history, on a machine of its own.
 */
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { serviceNames } from '../../../actors/registry.ts';
import { isSwarmId, operatorId } from '../../../machines/address.ts';
import { type DataDirLock, lockDataDir } from '../../data-dir/lock.ts';
import { FabricError } from '../../errors.ts';
import { authFromCreds } from '../../identity/connect-auth.ts';
import { openIdentity } from '../../identity/identity.ts';
import { createLog } from '../../log.ts';
import { credsOf, type FabricPlace, hasKeys, requireFabric } from '../fabric-session.ts';
import { JoinedServices } from '../joined-services.ts';
import { namesOf } from '../option-values.ts';
import { type ExitCode, exitCodes } from '../output.ts';
import type { CommandContext, CommandRun } from '../program.ts';

export const serve: CommandRun = async (context, _, options) => {
  // The witness first, so that it ends last: it takes in what the others leave.
  const named = new Set(namesOf(options, '--services') ?? ['coordinator']);
  const services = [...named].sort((a, b) => Number(b === 'witness') - Number(a === 'witness'));
  for (const service of services) requireKnown(service);
  const place = await requireFabric(context);
  const lock = named.has('witness') ? await lockForWitness(place) : undefined;
  try {
    return await run(context, services, place);
  } finally {
    await lock?.release();
  }
};

async function run(context: CommandContext, services: readonly string[], place: FabricPlace): Promise<ExitCode> {
  const { out, signal } = context;
  const { config, namespace, servers } = place;
  const log = createLog({ level: config.log_level === 'info' ? 'warn' : config.log_level, service: 'serve' });
  const creds = await credsOfService(place);

  const ended = new AbortController();
  let escalation: string | undefined;
  const onEscalation = (reason: string) => {
    escalation ??= reason;
    ended.abort();
  };
  const joined = await JoinedServices.join({ place, creds, log, onEscalation });
  try {
    const either = AbortSignal.any([signal, ended.signal]);
    const aborted = either.aborted ? Promise.resolve() : once(either, 'abort');
    // A service that is given up during its start escalates.
    const starting = Promise.all(services.map(async (service) => await joined.start(service))).catch(() => []);
    const ids = await Promise.race([starting, aborted.then(() => [])]);
    if (!either.aborted) {
      out.item({ ready: true, services: ids, servers: [...servers], namespace: namespace.name, pid: process.pid });
      out.line(`ready: ${ids.join(', ')} (namespace ${namespace.name}, ${servers.join(',')}); Ctrl-C stops it`);
    }
    await aborted;
    out.note('stopping: what was taken on is finished first');
  } finally {
    await joined.stop();
  }
  if (escalation === undefined) return exitCodes.done;
  throw new FabricError('UNAVAILABLE', escalation);
}

function requireKnown(service: string): void {
  if (serviceNames.includes(service)) return;
  const message = `--services: there is no service ${JSON.stringify(service)}; use ${serviceNames.join(', ')}`;
  throw new FabricError('INVALID_REQUEST', message);
}

/**
 * A further witness has a database of its own, in a data directory of its own: that of the fabric has the first one.
 * @throws FabricError INVALID_REQUEST, CONFLICT when another process uses the directory
 */
async function lockForWitness({ config, servers, file }: FabricPlace): Promise<DataDirLock> {
  if (file) {
    throw new FabricError(
      'INVALID_REQUEST',
      `the witness of ${config.data_dir} runs in \`infrafabric up\`; a further one keeps a database of its own: name the fabric with --servers ${servers.join(',')} and --creds, and an empty folder with --data-dir`,
    );
  }
  await mkdir(config.data_dir, { recursive: true, mode: 0o700 });
  return await lockDataDir(config.data_dir);
}

/** Of `--creds`, else made from the keys of the data directory. @throws FabricError UNAUTHORIZED for those of a swarm */
async function credsOfService({ config, namespace }: FabricPlace): Promise<string> {
  if (config.creds === undefined && hasKeys(config)) {
    const identity = await openIdentity(config.data_dir, namespace);
    return await identity.serviceCreds('serve');
  }
  const creds = await credsOf(config);
  const { callerId } = authFromCreds(creds);
  if (!isSwarmId(callerId) || callerId === operatorId) return creds;
  throw new FabricError(
    'UNAUTHORIZED',
    `services cannot run as the swarm ${callerId}; name operator.creds with --creds`,
  );
}
