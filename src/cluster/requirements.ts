/**
 * What a cluster that we did not start must be able to do. Asked once at connect, so that a cluster which cannot carry a
 * fabric is refused with a reason instead of failing at the first commit.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type JetStreamAccountStats,
  type JetStreamManager,
  jetstreamManager,
  type StreamInfo,
} from '@nats-io/jetstream';
import { type NatsConnection, PermissionViolationError } from '@nats-io/nats-core';
import { FabricError } from '../errors.ts';
import { isNewEnough, minimumVersion } from './server-version.ts';

/** The level of the JetStream API that has atomic batches and message schedules; 2.12 was the first with it. */
const minimumApiLevel = 2;

/**
 * Makes and deletes one small memory stream, since only the stream itself shows what the account may use.
 * @throws FabricError UNAVAILABLE naming the first thing that is missing.
 */
export async function checkServers(nc: NatsConnection): Promise<void> {
  const version = nc.info?.version ?? 'of an unknown version';
  const where = nc.getServer();
  if (!isNewEnough(version)) {
    throw lacks(`the NATS server at ${where} is ${version}`, `use servers of version ${minimumVersion} or newer`);
  }
  const { jsm, account } = await awaitJetStream(nc);
  const level = account.api.level ?? 0;
  if (level < minimumApiLevel) {
    throw lacks(
      `the JetStream of ${where} speaks API level ${level}, ${minimumApiLevel} has atomic batches and schedules`,
      `use servers of version ${minimumVersion} or newer, all of them`,
    );
  }
  const config = (await probe(jsm, where)).config;
  for (const feature of ['allow_atomic', 'allow_msg_schedules', 'allow_msg_ttl'] as const) {
    if (config[feature] !== true) {
      throw lacks(`the JetStream of ${where} does not support ${feature}`, 'use newer servers');
    }
  }
}

/**
 * The manager, once JetStream answers for the account of this connection. Right after a cluster is healthy it can say for
 * a moment that JetStream is not enabled, while its leader still learns of the account: so a refusal counts only when it
 * is the answer for `withinMs` milliseconds.
 * @throws FabricError UNAVAILABLE saying what was answered, or that nothing was.
 */
export async function awaitJetStream(
  nc: NatsConnection,
  withinMs = 2_000,
): Promise<{ jsm: JetStreamManager; account: JetStreamAccountStats }> {
  const where = nc.getServer();
  const deadline = performance.now() + withinMs;
  const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: Math.max(1_000, withinMs) });
  for (;;) {
    try {
      return { jsm, account: await jsm.getAccountInfo() };
    } catch (error) {
      const denied = error instanceof Error && error.cause instanceof PermissionViolationError;
      if (!denied && performance.now() < deadline) {
        await delay(50);
        continue;
      }
      if (error instanceof Error && error.name === 'JetStreamNotEnabled') {
        const next = 'enable it on the servers and in the account';
        throw lacks(`JetStream is not enabled for this account at ${where}`, next);
      }
      const next = 'check that these credentials may use $JS.API.>, and that the cluster is healthy';
      throw lacks(`JetStream does not answer at ${where} (${reason(error)})`, next);
    }
  }
}

async function probe(jsm: JetStreamManager, where: string): Promise<StreamInfo> {
  const name = `probe_${randomBytes(8).toString('hex')}`;
  const wanted = {
    name,
    subjects: [`${name}.>`],
    description: 'InfraFabric asks what this cluster can do; may be deleted',
    storage: 'memory' as const,
    num_replicas: 1,
    max_msgs: 1,
    max_bytes: 1_024,
    allow_atomic: true,
    allow_msg_schedules: true,
    allow_msg_ttl: true,
    allow_rollup_hdrs: true,
  };
  try {
    const info = await jsm.streams.add(wanted);
    await jsm.streams.delete(name);
    return info;
  } catch (error) {
    throw lacks(
      `a stream with atomic batches and schedules cannot be made at ${where} (${reason(error)})`,
      'check the limits of the account and the rights of these credentials',
    );
  }
}

function lacks(what: string, next: string): FabricError {
  return new FabricError('UNAVAILABLE', `${what}; InfraFabric needs it: ${next}.`);
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
