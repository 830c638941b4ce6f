/** Joining a fabric from a program: credentials in, a client that speaks for their swarm (or operator) out. */

import { FabricClient } from '../bus/client.ts';
import { connectTo } from '../bus/connection.ts';
import type { Encoding } from '../data/codec.ts';
import { authFromCreds } from '../identity/connect-auth.ts';
import { Namespace } from '../namespace.ts';

export interface JoinOptions {
  /** `nats://host:port`, as `fabric.json` lists them. */
  readonly servers: readonly string[];
  /** The text of a NATS credentials file, as `infrafabric swarm creds` writes it. */
  readonly creds: string;
  /** Default `IF`. */
  readonly namespace?: string;
  readonly encoding?: Encoding;
  /** How long a request may take in all, milliseconds. Default 30,000. */
  readonly timeoutMs?: number;
  /** How long to try for the connection, milliseconds. Default 5,000. */
  readonly patienceMs?: number;
}

export interface Membership {
  readonly client: FabricClient;
  close(): Promise<void>;
}

/** @throws FabricError UNAVAILABLE when no server answers, UNAUTHORIZED when the credentials are refused */
export async function join(options: JoinOptions): Promise<Membership> {
  const auth = authFromCreds(options.creds);
  const nc = await connectTo({
    servers: options.servers,
    authenticator: auth.authenticator,
    inboxPrefix: auth.inboxPrefix,
    name: auth.callerId,
    ...(options.patienceMs === undefined ? {} : { patienceMs: options.patienceMs }),
  });
  const client = new FabricClient({
    nc,
    namespace: new Namespace(options.namespace),
    callerId: auth.callerId,
    ...(options.encoding === undefined ? {} : { encoding: options.encoding }),
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
  });
  return { client, close: async () => await nc.close() };
}
