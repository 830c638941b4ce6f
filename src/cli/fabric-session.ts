/**
 * How commands reach a running fabric: what `--servers` and `--creds` name, else what the data directory says. A session
 * speaks as the user of its credentials, or as the swarm of `--swarm`.
 */
import { existsSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { operatorId } from '../../machines/address.ts';
import type { FabricClient } from '../bus/client.ts';
import { systemClock } from '../clock.ts';
import { readProcess } from '../cluster/process-table.ts';
import type { Config } from '../config/settings.ts';
import { type FabricFile, readFabricFile } from '../data-dir/fabric-file.ts';
import { FabricError } from '../errors.ts';
import { authFromCreds } from '../identity/connect-auth.ts';
import { readCredentialsFile } from '../identity/credentials-file.ts';
import { openIdentity } from '../identity/identity.ts';
import { Namespace } from '../namespace.ts';
import { join } from '../sdk/join.ts';
import type { CommandContext } from './program.ts';

/** Where a fabric is. */
export interface FabricPlace {
  readonly config: Config;
  readonly servers: readonly string[];
  readonly namespace: Namespace;
  /** What the data directory says, where that decided; undefined when `--servers` did. */
  readonly file: FabricFile | undefined;
}

export interface FabricSession extends FabricPlace {
  readonly client: FabricClient;
  /** Whether these are the credentials of an operator, who may read the log itself. */
  readonly isOperator: boolean;
}

/** Credentials that a command mints for itself are valid for so long, milliseconds. */
const mintedForMs = 300_000;
/** How long to ask where the process that ran the fabric is gone, milliseconds. */
const impatienceMs = 3_000;

/** Undefined when the data directory knows of no fabric that runs, and no servers are named. */
export async function findFabric(context: CommandContext): Promise<FabricPlace | undefined> {
  const { config, sources } = await context.resolve();
  if (config.servers.length > 0) {
    return { config, servers: config.servers, namespace: new Namespace(config.namespace), file: undefined };
  }
  const file = await readFabricFile(config.data_dir);
  if (!file) return undefined;
  const isDefault = sources.find(({ key }) => key === 'namespace')?.source === 'default';
  return {
    config,
    servers: file.servers,
    namespace: new Namespace(isDefault ? file.namespace : config.namespace),
    file,
  };
}

/** @throws FabricError UNAVAILABLE when no fabric runs */
export async function requireFabric(context: CommandContext): Promise<FabricPlace> {
  const place = await findFabric(context);
  if (place) return place;
  const { data_dir } = (await context.resolve()).config;
  throw new FabricError(
    'UNAVAILABLE',
    `no fabric runs from ${data_dir}: start one with \`infrafabric up --data-dir ${data_dir}\`, or name a cluster with --servers and --creds`,
  );
}

/** Whether the process that runs the fabric is there; true for a cluster that is not the data directory's own. */
export async function isRunning({ file }: FabricPlace): Promise<boolean> {
  return file === undefined || (await readProcess(file.pid)) !== undefined;
}

/**
 * Connects, runs `use`, and closes the connection on every way out.
 * @throws FabricError UNAVAILABLE when no fabric runs or answers; UNAUTHORIZED when the credentials are refused
 */
export async function withFabric<Result>(
  context: CommandContext,
  use: (session: FabricSession) => Promise<Result>,
  options: { readonly swarm?: string | undefined } = {},
): Promise<Result> {
  const place = await requireFabric(context);
  const { config, servers, namespace, file } = place;
  const gone = !(await isRunning(place));
  if (file && gone) {
    context.out.note(
      `process ${file.pid}, which ran this fabric, is gone; \`infrafabric up --data-dir ${config.data_dir}\` starts it again and takes over what still runs`,
    );
  }
  const creds = options.swarm === undefined ? await credsOf(config) : await credsOfSwarm(place, options.swarm);
  const timeoutMs = gone ? Math.min(impatienceMs, config.request_timeout_ms) : config.request_timeout_ms;
  const membership = await join({
    servers,
    creds,
    namespace: namespace.name,
    timeoutMs,
    patienceMs: Math.min(5_000, timeoutMs),
  });
  try {
    const isOperator = membership.client.callerId === operatorId;
    return await use({ ...place, client: membership.client, isOperator });
  } finally {
    await membership.close();
  }
}

/** @throws FabricError UNAUTHORIZED unless the session is an operator's */
export function requireOperator({ client, isOperator }: FabricSession, what: string): void {
  if (isOperator) return;
  throw new FabricError(
    'UNAUTHORIZED',
    `${what} is for operators, these are the credentials of ${client.callerId}; leave --creds out, or name operator.creds`,
  );
}

/** The text of the credentials that `--creds` names, else of the operator of the data directory. */
export async function credsOf(config: Config): Promise<string> {
  const operatorCreds = joinPath(config.data_dir, 'operator.creds');
  return await readCredentialsFile(config.creds ?? (existsSync(operatorCreds) ? operatorCreds : undefined));
}

/** Whether the data directory holds the keys of a fabric, from which credentials can be minted. */
export function hasKeys(config: Config): boolean {
  return existsSync(joinPath(config.data_dir, 'keys', 'created'));
}

/** Short-lived credentials where the data directory has the keys; else those of `--creds`, which must be the swarm's. */
async function credsOfSwarm({ config, namespace }: FabricPlace, swarm: string): Promise<string> {
  if (config.creds !== undefined) {
    const creds = await readCredentialsFile(config.creds);
    const { callerId } = authFromCreds(creds);
    if (callerId === swarm) return creds;
    throw new FabricError(
      'INVALID_REQUEST',
      `--swarm is ${JSON.stringify(swarm)}, but ${config.creds} are credentials of ${callerId}; leave one of the two out`,
    );
  }
  if (!hasKeys(config)) {
    throw new FabricError(
      'INVALID_REQUEST',
      `${config.data_dir} has no keys to act as ${JSON.stringify(swarm)} with; name the swarm's credentials with --creds FILE`,
    );
  }
  const identity = await openIdentity(config.data_dir, namespace);
  return await identity.mintSwarm(swarm, { expiresAt: systemClock.now() + mintedForMs });
}
