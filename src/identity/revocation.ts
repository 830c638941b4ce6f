/**
 * Tells running nodes which credentials have ended. A node drops the connections of a revoked user at once; nodes that
 * are down learn of it from the JWTs that are written for them before they start.
 */
import type { NatsConnection } from '@nats-io/nats-core';
import { FabricError } from '../errors.ts';

/** How long the first node may take, and how long to wait for one more, in milliseconds. */
const firstAnswerMs = 3_000;
const nextAnswerMs = 400;
const maxTries = 4;

/**
 * Gives all nodes the account's JWT and returns how many took it. `encode` is asked again afterwards, until what
 * was published is what it says: of two processes that revoke at once, the one that publishes last publishes both.
 * @throws FabricError UNAVAILABLE when no node took it.
 */
export async function publishAccountJwt(
  system: NatsConnection,
  account: string,
  encode: () => Promise<string>,
): Promise<number> {
  for (let jwt = await encode(); ; ) {
    const taken = await publishOnce(system, account, jwt);
    const current = await encode();
    if (current === jwt) return taken;
    jwt = current;
  }
}

async function publishOnce(system: NatsConnection, account: string, jwt: string): Promise<number> {
  let refusal: string | undefined;
  // The connection may be moving from a node that has just ended to another; asking again changes nothing.
  for (let tries = 1; tries <= maxTries; tries++) {
    const answer = await askNodes(system, account, jwt);
    if (answer.taken > 0) return answer.taken;
    refusal = answer.refusal;
  }
  throw new FabricError(
    'UNAVAILABLE',
    `no node took the list of revoked credentials (${refusal ?? 'no answer'}): it is on disk and nodes read it when they start; run the command again to reach those that run now`,
  );
}

async function askNodes(
  system: NatsConnection,
  account: string,
  jwt: string,
): Promise<{ taken: number; refusal?: string }> {
  let taken = 0;
  try {
    const answers = await system.requestMany(`$SYS.REQ.ACCOUNT.${account}.CLAIMS.UPDATE`, jwt, {
      strategy: 'stall',
      stall: nextAnswerMs,
      maxWait: firstAnswerMs,
    });
    let refusal: string | undefined;
    for await (const answer of answers) {
      const result = answer.json<{ data?: { code?: number }; error?: { description?: string } }>();
      if (result.data?.code === 200) taken += 1;
      else refusal = result.error?.description ?? 'no reason given';
    }
    return refusal === undefined ? { taken } : { taken, refusal };
  } catch (error) {
    return { taken, refusal: error instanceof Error ? error.message : String(error) };
  }
}
