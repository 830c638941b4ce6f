/**
 * The key that signs heads and receipts (Ed25519), made on first need and kept in `DIR/keys/witness.key`, mode 0600. Its
 * public half stands first in `DIR/witness.pub`, before those of the keys that it replaced, which stay trusted for what
 * they signed.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { join } from 'node:path';
import { FabricError } from '../../errors.ts';
import { createOnce, privateDirectory, readIfPresent, replaceFile } from '../../identity/key-files.ts';
import { publicKeysFile, signingKeyFile } from '../files.ts';
import { type DatedHead, type SignedHead, statementOf } from './signed-head.ts';
import { fingerprintOf, formatPublicKeys, publicKeyBody, readPublicKeys, readTrustedKeys } from './trusted-keys.ts';

export { readTrustedKeys, TrustedKeys, trustedKeysOf } from './trusted-keys.ts';

export interface SigningKey {
  /** `SHA256:` and the base64 of the SHA-256 of the public key (DER, SPKI), without padding. */
  readonly fingerprint: string;
  /** The public key: the base64 inside its PEM block. */
  readonly publicKey: string;
  sign(head: DatedHead): SignedHead;
  /** Signs the UTF-8 bytes of a text; base64. */
  signText(text: string): string;
}

/**
 * Opens the key of a data directory, and makes it when there is none. A process that signs now and then opens it each
 * time, so that it notices when the key was replaced.
 * @throws FabricError INTERNAL when the file is damaged.
 */
export async function openSigningKey(dataDir: string): Promise<SigningKey> {
  await privateDirectory(join(dataDir, 'keys'));
  const path = signingKeyFile(dataDir);
  const { text } = await createOnce(path, makeKey);
  const key = parsePrivateKey(path, text);
  await publish(dataDir, key.publicKey);
  return key;
}

/** Replaces the key by a new one. The caller signs a checkpoint with it, so that everything so far is under it too. */
export async function rotateSigningKey(dataDir: string): Promise<SigningKey> {
  // The public half of the old key has to be in its place before the private one is gone.
  await openSigningKey(dataDir);
  await replaceFile(signingKeyFile(dataDir), makeKey());
  return await openSigningKey(dataDir);
}

/**
 * Trusts the keys of a file in a data directory, too: behind its own, if it has one.
 * @throws FabricError UNAVAILABLE, INVALID_REQUEST when they cannot be read
 */
export async function trustAlso(dataDir: string, file: string): Promise<void> {
  const path = publicKeysFile(dataDir);
  const present = await bodiesOf(path);
  const others = readTrustedKeys(file).bodies.filter((body) => !present.includes(body));
  if (others.length > 0) await replaceFile(path, formatPublicKeys([...present, ...others]));
}

function makeKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}

function parsePrivateKey(path: string, text: string): SigningKey {
  let key: KeyObject | undefined;
  try {
    key = createPrivateKey(text);
  } catch {
    // What is wrong with it is not said: the text is a secret.
  }
  if (key?.asymmetricKeyType !== 'ed25519') {
    throw new FabricError(
      'INTERNAL',
      `${path} is damaged: put back a copy of it, or remove it so that a new key is made; keep witness.pub for what the old one signed`,
    );
  }
  return keyOf(key);
}

function keyOf(key: KeyObject): SigningKey {
  const publicKey = createPublicKey(key);
  const fingerprint = fingerprintOf(publicKey);
  const signText = (text: string) => sign(null, Buffer.from(text), key).toString('base64');
  return {
    fingerprint,
    publicKey: publicKeyBody(publicKey),
    signText,
    sign: ({ chain, entries, seq, head_hash, root, issued_at }) => {
      const head = { chain, entries, seq, head_hash, root, issued_at, key: fingerprint };
      return { ...head, signature: signText(statementOf(head)) };
    },
  };
}

/** Puts a public key in front of those that are there, unless it is the first of them. */
async function publish(dataDir: string, publicKey: string): Promise<void> {
  const path = publicKeysFile(dataDir);
  const present = await bodiesOf(path);
  if (present[0] === publicKey) return;
  await replaceFile(path, formatPublicKeys([publicKey, ...present.filter((body) => body !== publicKey)]));
}

/** What stands in the PEM blocks of a file of public keys; nothing when there is none. */
async function bodiesOf(path: string): Promise<string[]> {
  const text = await readIfPresent(path);
  return text === undefined ? [] : readPublicKeys(path, text).map(publicKeyBody);
}
