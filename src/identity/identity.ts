/**
 * Who is who in a fabric: its keys, its accounts, and the credentials of operators, services and swarms. Everything lives
 * under `DIR/keys` and works without a server, from any number of processes at once; servers trust what the keys signed.
 */
import { join } from 'node:path';
import type { NatsConnection } from '@nats-io/nats-core';
import { operatorId } from '../../machines/address.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { NodeAuth } from '../cluster/auth.ts';
import { FabricError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import { fabricAccountJwt, operatorJwt, swarmsAccountJwt, systemAccountJwt } from './accounts.ts';
import { assertMintable, readCredentials, scopedCredentials, unboundedCredentials } from './credentials.ts';
import { IssuedKeys } from './issued-keys.ts';
import { readUserClaims } from './jwt.ts';
import { createOnce, replaceFile } from './key-files.ts';
import { type Keyring, openKeyring } from './keyring.ts';
import { Nkey } from './nkey.ts';
import { publishAccountJwt } from './revocation.ts';

const plainName = /^[a-z][a-z0-9-]{0,62}$/;

export class Identity implements NodeAuth {
  readonly namespace: Namespace;
  readonly environment: Readonly<Record<string, string>>;
  readonly #dataDir: string;
  readonly #keys: Keyring;
  readonly #issued: IssuedKeys;
  readonly #clock: Clock;

  /** Use {@link openIdentity}. */
  constructor(dataDir: string, namespace: Namespace, keys: Keyring, issued: IssuedKeys, clock: Clock) {
    this.#dataDir = dataDir;
    this.namespace = namespace;
    this.#keys = keys;
    this.#issued = issued;
    this.#clock = clock;
    this.environment = {
      IF_OPERATOR_JWT: operatorJwt(namespace, keys),
      IF_SYSTEM_ACCOUNT: keys.system.publicKey,
    };
  }

  /** Writes the JWTs of all accounts, with every revocation up to now, for a node that is about to start. */
  async writeResolver(directory: string): Promise<void> {
    const jwts: Array<[string, string]> = [
      [this.#keys.system.publicKey, systemAccountJwt(this.#keys)],
      [this.#keys.fabric.publicKey, fabricAccountJwt(this.namespace, this.#keys)],
      [this.#keys.swarms.publicKey, await this.#swarmsJwt()],
    ];
    for (const [account, jwt] of jwts) await replaceFile(join(directory, `${account}.jwt`), jwt);
  }

  /**
   * Credentials for a swarm, each time with a key of their own. `expiresAt` in milliseconds since 1970, rounded up to a
   * whole second; without it they are valid until revoked.
   * @throws FabricError INVALID_REQUEST for a bad id, the id `operator`, or a time that is not in the future.
   */
  async mintSwarm(swarmId: string, options: { readonly expiresAt?: number } = {}): Promise<string> {
    assertMintable(swarmId);
    const now = this.#clock.now();
    const { expiresAt } = options;
    if (expiresAt !== undefined && !(Number.isSafeInteger(expiresAt) && expiresAt > now)) {
      throw new FabricError('INVALID_REQUEST', `the expiry ${expiresAt} is not a time in the future, in ms since 1970`);
    }
    const seconds = expiresAt === undefined ? undefined : Math.ceil(expiresAt / 1000);
    const key = Nkey.create('U');
    // On record first: credentials that nobody can revoke must not exist.
    await this.#issued.record(swarmId, key.publicKey, now, seconds === undefined ? undefined : seconds * 1000);
    const account = this.#keys.swarms.publicKey;
    return scopedCredentials({
      name: swarmId,
      key,
      account,
      signer: this.#keys.swarmSigner,
      issuedAt: Math.floor(now / 1000),
      expiresAt: seconds,
    });
  }

  /**
   * Ends all credentials issued to a swarm so far and returns how many that were. Nodes that run learn of it with
   * {@link publishAccount}; later credentials of the same swarm are valid.
   * @throws FabricError INVALID_REQUEST for a bad id.
   */
  async revokeSwarm(swarmId: string, now = this.#clock.now()): Promise<number> {
    assertMintable(swarmId);
    return this.#issued.revoke(swarmId, now);
  }

  /**
   * Tells the running nodes about all revocations; revoked users are cut off at once. `system` is a connection with
   * {@link systemCreds}. Returns how many nodes took it.
   * @throws FabricError UNAVAILABLE when none did.
   */
  async publishAccount(system: NatsConnection): Promise<number> {
    return publishAccountJwt(system, this.#keys.swarms.publicKey, () => this.#swarmsJwt());
  }

  /**
   * The operators' credentials, `DIR/operator.creds`, made on first use.
   * @throws FabricError INVALID_REQUEST when the file is of another fabric.
   */
  async operatorCreds(): Promise<string> {
    const path = join(this.#dataDir, 'operator.creds');
    const { text } = await createOnce(path, () => this.#fabricUser(operatorId));
    const claims = readUserClaims(readCredentials(text)?.jwt ?? '');
    if (claims?.nats.issuer_account !== this.#keys.fabric.publicKey) {
      throw new FabricError(
        'INVALID_REQUEST',
        `${path} does not belong to the keys in ${join(this.#dataDir, 'keys')}: remove the file to have it made anew`,
      );
    }
    return text;
  }

  /**
   * Credentials of a service, for use in this process only; user `<namespace>.<name>`.
   * @throws FabricError INVALID_REQUEST when the name is not lower-case letters, digits and hyphens.
   */
  async serviceCreds(name: string): Promise<string> {
    if (!plainName.test(name)) {
      throw new FabricError('INVALID_REQUEST', `${JSON.stringify(name)} is not a service name: use lower-case letters`);
    }
    return this.#fabricUser(`${this.namespace.name}.${name}`);
  }

  /** Credentials of the system account, for use in this process only. */
  async systemCreds(): Promise<string> {
    return this.#unbounded(`${this.namespace.name}.system`, this.#keys.system.publicKey, this.#keys.system);
  }

  #fabricUser(name: string): string {
    return this.#unbounded(name, this.#keys.fabric.publicKey, this.#keys.fabricSigner);
  }

  #unbounded(name: string, account: string, signer: Nkey): string {
    const issuedAt = Math.floor(this.#clock.now() / 1000);
    return unboundedCredentials({ name, key: Nkey.create('U'), account, signer, issuedAt });
  }

  async #swarmsJwt(): Promise<string> {
    return swarmsAccountJwt(this.namespace, this.#keys, await this.#issued.revocations(this.#clock.now()));
  }
}

/**
 * Opens the identity of the fabric in `dataDir`, creating it on first use. Safe in any number of processes at once.
 * @throws FabricError INTERNAL when a key file is damaged.
 */
export async function openIdentity(dataDir: string, namespace: Namespace, clock = systemClock): Promise<Identity> {
  const directory = join(dataDir, 'keys');
  const keys = await openKeyring(directory, clock);
  return new Identity(dataDir, namespace, keys, new IssuedKeys(directory), clock);
}
