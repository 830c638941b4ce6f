/**
 * `infrafabric serve`: more services for a fabric that runs, in this process, until SIGTERM or Ctrl-C. They are restarted
 * by `infrafabric restart` with those of `up`.
 */
import { once } from 'node:events';
import { serviceNames } from '../../../actors/registry.ts';
import { isSwarmId, operatorId } from '../../../machines/address.ts';
import { FabricError } from '../../errors.ts';
import { authFromCreds } from '../../identity/connect-auth.ts';
import { openIdentity } from '../../identity/identity.ts';
import { createLog } from '../../log.ts';
import { credsOf, type FabricPlace, hasKeys, requireFabric } from '../fabric-session.ts';
import { JoinedServices } from '../joined-services.ts';
import { namesOf } from '../option-values.ts';
import { exitCodes } from '../output.ts';
import type { CommandRun } from '../program.ts';

export const serve: CommandRun = async (context, _, options) => {
  const { out, signal } = context;
  const services = [...new Set(namesOf(options, '--services') ?? ['coordinator'])];
  for (const service of services) requireAddable(service);
  const place = await requireFabric(context);
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
};

/** A fabric has one witness, which belongs to the database of its data directory: it runs in `up`. */
function requireAddable(service: string): void {
  const addable = serviceNames.filter((name) => name !== 'witness');
  if (addable.includes(service)) return;
  const message = `--services: no service ${JSON.stringify(service)} can be added; use ${addable.join(', ')}`;
  throw new FabricError('INVALID_REQUEST', message);
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
