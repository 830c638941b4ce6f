/** Turns credentials into what a NATS connection needs to act as the user they name. */
import type { Authenticator } from '@nats-io/nats-core';
import { isSwarmId } from '../../machines/address.ts';
import { FabricError } from '../errors.ts';
import { inboxPrefix } from '../namespace.ts';
import { readCredentials } from './credentials.ts';
import { readUserClaims } from './jwt.ts';

export interface ConnectAuth {
  readonly authenticator: Authenticator;
  /** The user's name: a swarm id, `operator`, or `<namespace>.<service>`. */
  readonly callerId: string;
  readonly inboxPrefix: string;
}

const serviceName = /^[A-Z][A-Z0-9_]{0,15}\.[a-z][a-z0-9-]{0,62}$/;

/** @throws FabricError INVALID_REQUEST when the text is not credentials, or their user is no swarm, operator or service. */
export function authFromCreds(creds: string): ConnectAuth {
  const parts = readCredentials(creds);
  const claims = parts && readUserClaims(parts.jwt);
  if (!parts || !claims || claims.sub !== parts.key.publicKey) {
    // The text is not quoted: it may hold a seed.
    throw new FabricError(
      'INVALID_REQUEST',
      'this is not a NATS credentials file: it needs a user JWT and the seed of its key, as "infrafabric swarm creds" writes them',
    );
  }
  const { name } = claims;
  if (!isSwarmId(name) && !serviceName.test(name)) {
    throw new FabricError(
      'INVALID_REQUEST',
      `the credentials name the user ${JSON.stringify(name.slice(0, 80))}, which is not a swarm id: mint credentials with "infrafabric swarm creds"`,
    );
  }
  const { jwt, key } = parts;
  return {
    authenticator: (nonce) => ({ jwt, nkey: key.publicKey, sig: nonce ? key.sign(nonce) : '' }),
    callerId: name,
    // Swarm ids are lower-case, so no swarm's prefix is ever that of a service.
    inboxPrefix: inboxPrefix(name.replace('.', '_')),
  };
}
