/**
 * NATS keys ("nkeys"): Ed25519 keys written in base 32 with a letter for their role in front and a checksum behind. They
 * sign with the native Ed25519 of Node: the one in JavaScript that NATS clients bring takes some 30-60 ms for each
 * signature, and as long again for each public key, during which a process does nothing else.
 */
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';

/** The first letter of the public key, and the second of the seed: operator, account, user. */
export type Role = 'O' | 'A' | 'U';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const seedPrefix = 18 << 3;
/** What precedes the 32 bytes of an Ed25519 seed in the PKCS #8 format. */
const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex');

export class Nkey {
  readonly publicKey: string;
  readonly #seed: string;
  readonly #key: KeyObject;

  private constructor(role: Role, secret: Buffer) {
    const letter = alphabet.indexOf(role) << 3;
    this.#seed = withChecksum([seedPrefix | (letter >> 5), (letter & 31) << 3, ...secret]);
    this.#key = createPrivateKey({ key: Buffer.concat([pkcs8, secret]), format: 'der', type: 'pkcs8' });
    const { x } = createPublicKey(this.#key).export({ format: 'jwk' });
    this.publicKey = withChecksum([letter, ...Buffer.from(x ?? '', 'base64url')]);
  }

  static create(role: Role): Nkey {
    return new Nkey(role, randomBytes(32));
  }

  /** Undefined when the text is not a seed of that role. */
  static fromSeed(role: Role, text: string): Nkey | undefined {
    if (!/^S[A-Z2-7]{57}$/.test(text)) return undefined;
    const key = new Nkey(role, base32Decode(text).subarray(2, 34));
    // Written again it must be the same: role and checksum are part of it.
    return key.#seed === text ? key : undefined;
  }

  sign(data: string): string {
    return sign(null, Buffer.from(data), this.#key).toString('base64url');
  }

  /** The secret. Goes into files of mode 0600 and into credentials, nowhere else. */
  exposeSeed(): string {
    return this.#seed;
  }
}

function withChecksum(bytes: readonly number[]): string {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return base32Encode([...bytes, crc & 0xff, crc >> 8]);
}

function base32Encode(bytes: readonly number[]): string {
  const bits = bytes.map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const letters = bits.match(/.{1,5}/g) ?? [];
  return letters.map((five) => alphabet.charAt(Number.parseInt(five.padEnd(5, '0'), 2))).join('');
}

function base32Decode(text: string): Buffer {
  const bits = [...text].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, '0')).join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((eight) => Number.parseInt(eight, 2)));
}
