/**
 * The keys of a fabric, one seed per file under `DIR/keys/`: created on first use, the same ever after. Whoever holds
 * them can mint any identity of this fabric; nothing here prints or returns a seed.
 */
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { FabricError } from '../errors.ts';
import { createOnce, privateDirectory } from './key-files.ts';
import { Nkey, type Role } from './nkey.ts';

export interface Keyring {
  /** Signs the accounts. */
  readonly operator: Nkey;
  /** The account of the servers themselves. */
  readonly system: Nkey;
  /** The account that holds the streams; services and operators live in it. */
  readonly fabric: Nkey;
  /** Signs the users of the fabric account. */
  readonly fabricSigner: Nkey;
  /** The account that swarms live in, apart from the streams. */
  readonly swarms: Nkey;
  /** Signs swarms; the servers give what it signs the permissions of a swarm, whatever the user's JWT says. */
  readonly swarmSigner: Nkey;
  /** When the fabric's identity was created, seconds since 1970. */
  readonly created: number;
}

/** @throws FabricError INTERNAL when a key file is damaged. */
export async function openKeyring(directory: string, clock: Clock): Promise<Keyring> {
  await privateDirectory(directory);
  const [operator, system, fabric, fabricSigner, swarms, swarmSigner, created] = await Promise.all([
    openKey(join(directory, 'operator.nk'), 'O'),
    openKey(join(directory, 'system.nk'), 'A'),
    openKey(join(directory, 'fabric.nk'), 'A'),
    openKey(join(directory, 'fabric-signer.nk'), 'A'),
    openKey(join(directory, 'swarms.nk'), 'A'),
    openKey(join(directory, 'swarm-signer.nk'), 'A'),
    openTime(join(directory, 'created'), clock),
  ]);
  return { operator, system, fabric, fabricSigner, swarms, swarmSigner, created };
}

async function openKey(path: string, role: Role): Promise<Nkey> {
  const { text } = await createOnce(path, () => `${Nkey.create(role).exposeSeed()}\n`);
  const key = Nkey.fromSeed(role, text.trim());
  if (!key) throw damaged(path);
  return key;
}

async function openTime(path: string, clock: Clock): Promise<number> {
  const { text } = await createOnce(path, () => `${Math.floor(clock.now() / 1000)}\n`);
  if (!/^[0-9]{1,12}\n$/.test(text)) throw damaged(path);
  return Number(text);
}

function damaged(path: string): FabricError {
  return new FabricError(
    'INTERNAL',
    `${path} is damaged: put back a copy of it, or remove the whole keys folder to begin a new fabric with new credentials`,
  );
}
