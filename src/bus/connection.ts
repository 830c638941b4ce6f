/** Connections to the cluster, with the patience that a fabric needs: a lost server is replaced at once, for ever. */
import type { Authenticator, NatsConnection } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { FabricError } from '../errors.ts';

export interface ConnectOptions {
  readonly servers: readonly string[];
  readonly authenticator: Authenticator;
  readonly inboxPrefix: string;
  /** Shown in the servers' connection lists. */
  readonly name: string;
  /** How long to try for the first connection, milliseconds. Default 5,000. */
  readonly patienceMs?: number;
}

/** @throws FabricError UNAVAILABLE when no server answers in time, UNAUTHORIZED when the credentials are refused */
export async function connectTo(options: ConnectOptions): Promise<NatsConnection> {
  const { servers, authenticator, inboxPrefix, name } = options;
  const until = Date.now() + (options.patienceMs ?? 5_000);
  for (;;) {
    try {
      return await connect({
        servers: [...servers],
        authenticator,
        inboxPrefix,
        name,
        timeout: 2_000,
        // Otherwise every request pays for a stack trace that only its failure would show.
        noAsyncTraces: true,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 50,
        reconnectJitter: 50,
        // A frozen server is given up after 2 to 3 s.
        pingInterval: 1_000,
        maxPingOut: 2,
      });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (/authoriz|authentic/i.test(message)) {
        throw new FabricError(
          'UNAUTHORIZED',
          'the cluster refuses these credentials: they are expired, revoked, or of another fabric',
          undefined,
          { cause: error },
        );
      }
      if (Date.now() >= until) {
        throw new FabricError(
          'UNAVAILABLE',
          `no server answers at ${servers.join(', ')} (${message}); is the fabric up?`,
          undefined,
          { cause: error },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
