/**
 * The public keys that a verifier trusts: those of one file of PEM blocks, and no others, whatever what it verifies says
 * about its own keys.
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { FabricError } from '../../errors.ts';
import { publicKeysFile } from '../files.ts';
import { type SignedHead, statementOf } from './signed-head.ts';

export type SignatureVerdict = 'ok' | 'unknown key' | 'bad signature';

const [blockBegin, blockEnd] = ['-----BEGIN PUBLIC KEY-----', '-----END PUBLIC KEY-----'];
/** A file of keys is some hundred bytes per key. */
const maxFileBytes = 1_048_576;

export class TrustedKeys {
  readonly #keys = new Map<string, KeyObject>();

  constructor(keys: readonly KeyObject[]) {
    for (const key of keys) this.#keys.set(fingerprintOf(key), key);
  }

  /** In the order of the file: the present key first. */
  get fingerprints(): string[] {
    return [...this.#keys.keys()];
  }

  /** What stands in the PEM block of each. */
  get bodies(): string[] {
    return [...this.#keys.values()].map(publicKeyBody);
  }

  verify(head: SignedHead): SignatureVerdict {
    return this.verifyText(head.key, statementOf(head), head.signature);
  }

  /** Whether the key of that fingerprint signed the UTF-8 bytes of the text. */
  verifyText(fingerprint: string, text: string, signature: string): SignatureVerdict {
    const key = this.#keys.get(fingerprint);
    if (!key) return 'unknown key';
    const bytes = Buffer.from(signature, 'base64');
    // One signature has one form: what decodes to the same bytes is another text.
    const isExact = bytes.length === 64 && bytes.toString('base64') === signature;
    return isExact && verify(null, Buffer.from(text), key, bytes) ? 'ok' : 'bad signature';
  }
}

/**
 * The keys of a file.
 * @throws FabricError UNAVAILABLE when it cannot be read, INVALID_REQUEST when it holds something else.
 */
export function readTrustedKeys(file: string): TrustedKeys {
  let text: string;
  try {
    if (statSync(file).size > maxFileBytes) throw notKeys(file, `is larger than ${maxFileBytes} bytes`);
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof FabricError) throw error;
    throw new FabricError(
      'UNAVAILABLE',
      `the public key ${file} cannot be read: ${String(error)}; name the file with --key FILE`,
      undefined,
      { cause: error },
    );
  }
  return new TrustedKeys(readPublicKeys(file, text));
}

/** The keys that a data directory trusts; undefined when it has none. */
export function trustedKeysOf(dataDir: string): TrustedKeys | undefined {
  const file = publicKeysFile(dataDir);
  return statSync(file, { throwIfNoEntry: false }) ? readTrustedKeys(file) : undefined;
}

/** @throws FabricError INVALID_REQUEST when the text is anything but public keys of Ed25519. */
export function readPublicKeys(file: string, text: string): KeyObject[] {
  if (text.includes('PRIVATE KEY')) throw notKeys(file, 'holds a private key, which should never leave its place');
  const bodies = blocksOf(text);
  if (!bodies) throw notKeys(file, 'holds something else than public keys');
  if (bodies.length === 0) throw notKeys(file, 'holds no public key');
  return bodies.map((body) => {
    const key = publicKeyFrom(body);
    if (!key) throw notKeys(file, 'holds a public key that is not one of Ed25519');
    return key;
  });
}

/** The base64 of each block, read line by line; undefined when there is a block of another kind, or half a one. */
function blocksOf(text: string): string[] | undefined {
  const bodies: string[] = [];
  let body: string[] | undefined;
  for (const line of text.split('\n').map((each) => each.trim())) {
    if (line === blockBegin && !body) {
      body = [];
    } else if (line === blockEnd && body) {
      bodies.push(body.join(''));
      body = undefined;
    } else if (line.includes('-----')) {
      return undefined;
    } else if (body) {
      if (!/^[A-Za-z0-9+/=]*$/.test(line)) return undefined;
      body.push(line);
    }
  }
  return body ? undefined : bodies;
}

/** The key of the base64 of a PEM block; undefined when it is not one of Ed25519. */
export function publicKeyFrom(body: string): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(body, 'base64'), format: 'der', type: 'spki' });
    return key.asymmetricKeyType === 'ed25519' ? key : undefined;
  } catch {
    return undefined;
  }
}

/** The fingerprint of the key of that base64; undefined when it is not exactly that of one. */
export function fingerprintFrom(body: string): string | undefined {
  const key = publicKeyFrom(body);
  return key && publicKeyBody(key) === body ? fingerprintOf(key) : undefined;
}

/** The base64 that stands inside the PEM block of a key. */
export function publicKeyBody(key: KeyObject): string {
  return key.export({ format: 'der', type: 'spki' }).toString('base64');
}

export function formatPublicKeys(bodies: readonly string[]): string {
  return bodies.map((body) => `-----BEGIN PUBLIC KEY-----\n${body}\n-----END PUBLIC KEY-----\n`).join('');
}

/** `SHA256:` and the base64 of the SHA-256 of the key (DER, SPKI), without padding: what people compare. */
export function fingerprintOf(key: KeyObject): string {
  const digest = createHash('sha256')
    .update(key.export({ format: 'der', type: 'spki' }))
    .digest('base64');
  return `SHA256:${digest.replace(/=+$/, '')}`;
}

function notKeys(file: string, what: string): FabricError {
  return new FabricError(
    'INVALID_REQUEST',
    `${file} ${what}; give a file of public keys (PEM), such as the witness.pub of the data directory`,
  );
}
