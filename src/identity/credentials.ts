/**
 * Credentials in the text format that all NATS clients read: a signed JWT that names the user, and the seed of his key.
 * They are made without asking any server.
 */
import { isSwarmId, operatorId } from '../../machines/address.ts';
import { FabricError } from '../errors.ts';
import { signClaims } from './jwt.ts';
import { Nkey } from './nkey.ts';
import { everything } from './permissions.ts';

export interface NewUser {
  readonly name: string;
  readonly key: Nkey;
  /** Public key of the account. */
  readonly account: string;
  /** One of the account's signing keys. */
  readonly signer: Nkey;
  /** Seconds since 1970. */
  readonly issuedAt: number;
  /** Seconds since 1970; never, when undefined. */
  readonly expiresAt?: number | undefined;
}

/** For a signing key whose template holds the permissions. */
export function scopedCredentials(user: NewUser): string {
  return credentials(user, {});
}

/** For a user who may do everything in the account. */
export function unboundedCredentials(user: NewUser): string {
  return credentials(user, { ...everything, subs: -1, data: -1, payload: -1 });
}

function credentials({ key, signer, account, ...user }: NewUser, permissions: object): string {
  // An account that signs with its own key must not name itself as the account behind a signing key.
  const issuer = signer.publicKey === account ? {} : { issuer_account: account };
  const jwt = signClaims(
    { ...user, type: 'user', subject: key.publicKey, body: { ...permissions, ...issuer } },
    signer,
  );
  return `-----BEGIN NATS USER JWT-----
${jwt}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.
NKEYs are sensitive and should be treated as secrets.

-----BEGIN USER NKEY SEED-----
${key.exposeSeed()}
------END USER NKEY SEED------
`;
}

/** The two parts of a credentials file; undefined when it is none. */
export function readCredentials(text: string): { jwt: string; key: Nkey } | undefined {
  const [, jwt] = /-----BEGIN NATS USER JWT-----\s+(\S+)\s+-+END NATS USER JWT-+/.exec(text) ?? [];
  const [, seed] = /-----BEGIN USER NKEY SEED-----\s+(\S+)\s+-+END USER NKEY SEED-+/.exec(text) ?? [];
  const key = seed === undefined ? undefined : Nkey.fromSeed('U', seed);
  return jwt === undefined || key === undefined ? undefined : { jwt, key };
}

/** @throws FabricError INVALID_REQUEST for a malformed swarm id, and for the id of the operators. */
export function assertMintable(swarmId: string): void {
  if (typeof swarmId !== 'string' || !isSwarmId(swarmId)) {
    throw new FabricError(
      'INVALID_REQUEST',
      `${JSON.stringify(String(swarmId).slice(0, 80))} is not a swarm id: use 1 to 63 lower-case letters, digits and hyphens, not starting with a hyphen`,
    );
  }
  if (swarmId === operatorId) {
    throw new FabricError(
      'INVALID_REQUEST',
      `the id "${operatorId}" is not a swarm's: operators use the file operator.creds of the data directory; choose another id`,
    );
  }
}
