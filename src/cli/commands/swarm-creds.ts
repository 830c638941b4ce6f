/**
 * `infrafabric swarm creds` and `swarm revoke`: credentials of swarms, made and ended with the keys of the data directory.
 * Both work without a running fabric, as far as nothing has to be told to one.
 */
import { type FileHandle, open, rm } from 'node:fs/promises';
import { resolve as absolute } from 'node:path';
import type { SwarmView } from '../../../actors/coordinator/swarms/swarm-view.ts';
import { connectTo } from '../../bus/connection.ts';
import { systemClock } from '../../clock.ts';
import { FabricError } from '../../errors.ts';
import { authFromCreds } from '../../identity/connect-auth.ts';
import { assertMintable } from '../../identity/credentials.ts';
import { parseDuration } from '../../identity/expiry.ts';
import { type Identity, openIdentity } from '../../identity/identity.ts';
import { Namespace } from '../../namespace.ts';
import { type FabricSession, findFabric, hasKeys, isRunning, withFabric } from '../fabric-session.ts';
import { given, namesOf, numberOf, textOf } from '../option-values.ts';
import { exitCodes } from '../output.ts';
import type { CommandContext, CommandRun } from '../program.ts';
import { formatTime } from '../table.ts';

export const creds: CommandRun = async (context, [swarm_id = ''], options) => {
  const { out } = context;
  const expires = textOf(options, '--expires');
  const expires_at = expires === undefined ? null : systemClock.now() + parseDuration(expires);
  const grants = namesOf(options, '--grant') ?? [];
  const budget_usd = numberOf(options, '--budget');
  const named = textOf(options, '--out');
  const path = named === undefined ? null : absolute(named);
  assertMintable(swarm_id);

  let swarm: SwarmView | null = null;
  const make = async () => {
    swarm = await invite(context, swarm_id, grants, budget_usd);
    const identity = await identityOf(context);
    return await identity.mintSwarm(swarm_id, expires_at === null ? {} : { expiresAt: expires_at });
  };
  const text = path === null ? await make() : await intoNewFile(path, make);
  out.data({ swarm_id, expires_at, file: path, creds: path === null ? text : null, swarm });
  if (path === null) out.text(text);
  else
    out.line(
      `${path}: credentials of ${swarm_id}, ${expires_at === null ? 'valid until revoked' : `valid until ${formatTime(expires_at)}`}`,
    );
  return exitCodes.done;
};

/** Grants, budget and mailbox are the fabric's; without one that runs, credentials alone are made. */
async function invite(
  context: CommandContext,
  swarm_id: string,
  grants: string[],
  budget_usd: number | undefined,
): Promise<SwarmView | null> {
  const isAsked = grants.length > 0 || budget_usd !== undefined;
  const place = await findFabric(context);
  if (!isAsked && !(place && (await isRunning(place)))) return null;
  try {
    return await withFabric(
      context,
      async ({ client }) => await client.request<SwarmView>('swarm', 'invite', given({ swarm_id, grants, budget_usd })),
    );
  } catch (error) {
    if (isAsked || !(error instanceof FabricError)) throw error;
    context.out.note(
      `the credentials are valid, but the fabric was not told of ${swarm_id} (${error.message}); it learns of it when the swarm registers`,
    );
    return null;
  }
}

/** Credentials are never written over what is there. @throws FabricError INVALID_REQUEST */
async function intoNewFile(path: string, make: () => Promise<string>): Promise<string> {
  let file: FileHandle;
  try {
    file = await open(path, 'wx', 0o600);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'EEXIST' ? 'it exists already, and credentials are not overwritten' : message;
    throw new FabricError('INVALID_REQUEST', `--out ${path} cannot be written: ${why}; name another file`, undefined, {
      cause: error,
    });
  }
  try {
    const text = await make();
    await file.writeFile(text);
    return text;
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

export const revoke: CommandRun = async (context, [swarm_id = '']) => {
  const { out } = context;
  assertMintable(swarm_id);
  const identity = await identityOf(context, 'existing');
  const ended = await identity.revokeSwarm(swarm_id);
  const place = await findFabric(context);
  const runs = place !== undefined && (await isRunning(place));
  // Nodes outlive a crash of the process that started them, and have to be told all the same.
  const nodes = place ? await tellNodes(identity, place.servers).catch(unless(runs)) : 0;
  const ask = async ({ client }: FabricSession) =>
    await client.request<SwarmView | null>('swarm', 'revoke', { swarm_id });
  const swarm = runs ? await withFabric(context, ask) : null;
  out.data({ swarm_id, ended, nodes, swarm });
  out.line(`${ended} credentials of ${swarm_id} have ended${nodes > 0 ? `, ${nodes} nodes took it` : ''}`);
  if (!runs) out.note('no fabric runs: nodes learn of it when they start; grants of the swarm stay');
  return exitCodes.done;
};

/** Where no fabric runs, nodes that do not answer are no failure. */
function unless(runs: boolean): (error: unknown) => number {
  return (error) => {
    if (runs) throw error;
    return 0;
  };
}

async function tellNodes(identity: Identity, servers: readonly string[]): Promise<number> {
  const auth = authFromCreds(await identity.systemCreds());
  const nc = await connectTo({
    servers,
    authenticator: auth.authenticator,
    inboxPrefix: auth.inboxPrefix,
    name: 'revocation',
  });
  try {
    return await identity.publishAccount(nc);
  } finally {
    await nc.close();
  }
}

/** The identity of the data directory; without `existing` it is made when there is none. @throws FabricError INVALID_REQUEST */
async function identityOf(context: CommandContext, must?: 'existing'): Promise<Identity> {
  const { config } = await context.resolve();
  const namespace = (await findFabric(context))?.namespace ?? new Namespace(config.namespace);
  if (!hasKeys(config)) {
    if (must || config.servers.length > 0) {
      throw new FabricError(
        'INVALID_REQUEST',
        `${config.data_dir} has no keys of a fabric; name the data directory of the one that runs with --data-dir`,
      );
    }
    context.out.note(`${config.data_dir} has no keys yet; they are made now, for the fabric that is started there`);
  }
  return await openIdentity(config.data_dir, namespace);
}
