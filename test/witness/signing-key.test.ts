/** The key of the witness: made once, kept private, replaced without losing trust in what it signed. */

import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { publicKeysFile, signingKeyFile } from '../../src/witness/files.ts';
import type { SignedHead } from '../../src/witness/proofs/signed-head.ts';
import {
  openSigningKey,
  readTrustedKeys,
  rotateSigningKey,
  trustedKeysOf,
} from '../../src/witness/proofs/signing-key.ts';
import { tempDir } from '../support/temp.ts';

let folder: Awaited<ReturnType<typeof tempDir>>;
let dir: string;

beforeEach(async () => {
  folder = await tempDir();
  dir = join(folder.path, 'data');
});
afterEach(async () => await folder.remove());

const head = {
  chain: 'IF_actors/1',
  entries: 12,
  seq: 14,
  head_hash: 'ab'.repeat(32),
  root: 'cd'.repeat(32),
  issued_at: 1_763_700_000_000,
};
const modeOf = (path: string) => statSync(path).mode & 0o777;

describe('the signing key', () => {
  it('is made on first need, private to its owner, and the same ever after', async () => {
    expect(trustedKeysOf(dir)).toBeUndefined();
    const key = await openSigningKey(dir);
    expect(key.fingerprint).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
    expect(modeOf(join(dir, 'keys'))).toBe(0o700);
    expect(modeOf(signingKeyFile(dir))).toBe(0o600);
    expect((await openSigningKey(dir)).fingerprint).toBe(key.fingerprint);
    expect(trustedKeysOf(dir)?.fingerprints).toEqual([key.fingerprint]);
    expect(readFileSync(publicKeysFile(dir), 'utf8')).not.toContain('PRIVATE');
  });

  it('is one key when several processes make it at once', async () => {
    const keys = await Promise.all(Array.from({ length: 8 }, () => openSigningKey(dir)));
    expect(new Set(keys.map((key) => key.fingerprint)).size).toBe(1);
    expect(trustedKeysOf(dir)?.fingerprints).toEqual([keys[0]?.fingerprint]);
  });

  it('signs heads that verify, and no other ones', async () => {
    const signed = (await openSigningKey(dir)).sign(head);
    const trusted = trustedKeysOf(dir);
    expect(trusted?.verify(signed)).toBe('ok');
    const changes: Partial<SignedHead>[] = [
      { chain: 'IF_actors/2' },
      { chain: 'IF_bus/1' },
      { entries: 13 },
      { entries: 11 },
      { seq: 15 },
      { head_hash: 'ab'.repeat(31).concat('ac') },
      { head_hash: 'AB'.repeat(32) },
      { root: 'ce'.repeat(32) },
      { issued_at: head.issued_at + 1 },
      { signature: signed.signature.replace(/^./, (first) => (first === 'A' ? 'B' : 'A')) },
      { signature: '' },
      { signature: signed.signature.replace(/=+$/, '') },
      { signature: `${signed.signature} ` },
    ];
    for (const change of changes)
      expect(trusted?.verify({ ...signed, ...change }), JSON.stringify(change)).toBe('bad signature');
    expect(trusted?.verify({ ...signed, key: `SHA256:${'A'.repeat(43)}` })).toBe('unknown key');
  });

  it('signs the statement that is documented', async () => {
    const { signature: _, ...signed } = (await openSigningKey(dir)).sign(head);
    const text = `InfraFabric witness checkpoint\n{"chain":"IF_actors/1","entries":12,"head_hash":"${'ab'.repeat(32)}","issued_at":1763700000000,"key":"${signed.key}","root":"${'cd'.repeat(32)}","seq":14}`;
    const key = await openSigningKey(dir);
    expect(trustedKeysOf(dir)?.verifyText(key.fingerprint, text, key.signText(text))).toBe('ok');
    expect(key.signText(text)).toBe(key.sign(head).signature);
  });

  it('is replaced by a new one, and what the old one signed stays trusted', async () => {
    const old = await openSigningKey(dir);
    const secret = readFileSync(signingKeyFile(dir), 'utf8');
    const next = await rotateSigningKey(dir);
    expect(next.fingerprint).not.toBe(old.fingerprint);
    expect((await openSigningKey(dir)).fingerprint).toBe(next.fingerprint);
    expect(modeOf(signingKeyFile(dir))).toBe(0o600);
    expect(readFileSync(signingKeyFile(dir), 'utf8')).not.toBe(secret);
    const trusted = trustedKeysOf(dir);
    expect(trusted?.fingerprints).toEqual([next.fingerprint, old.fingerprint]);
    expect(trusted?.verify(old.sign(head))).toBe('ok');
    const third = await rotateSigningKey(dir);
    expect(trustedKeysOf(dir)?.fingerprints).toEqual([third.fingerprint, next.fingerprint, old.fingerprint]);
  });

  it('is published again when a crash came between its making and its publishing', async () => {
    const key = await openSigningKey(dir);
    const other = generateKeyPairSync('ed25519').publicKey.export({ format: 'pem', type: 'spki' }).toString();
    writeFileSync(publicKeysFile(dir), other);
    await openSigningKey(dir);
    expect(trustedKeysOf(dir)?.fingerprints).toHaveLength(2);
    expect(trustedKeysOf(dir)?.fingerprints[0]).toBe(key.fingerprint);
  });

  it('is not replaced by itself when its file is damaged, and the message does not show it', async () => {
    await openSigningKey(dir);
    const text = readFileSync(signingKeyFile(dir), 'utf8');
    for (const damaged of ['', text.slice(0, 60), text.replace(/\n.{8}/, '\n????????'), 'secret words']) {
      writeFileSync(signingKeyFile(dir), damaged);
      const error = await openSigningKey(dir).catch((error: unknown) => error);
      expect(error).toMatchObject({ code: 'INTERNAL', message: expect.stringContaining('witness.key is damaged') });
      if (damaged.length > 40) expect(String(error)).not.toContain(damaged.slice(30, 60));
    }
  });
});

describe('trusted keys', () => {
  const pem = (type: 'ed25519' | 'x25519') =>
    generateKeyPairSync(type as 'ed25519')
      .publicKey.export({ format: 'pem', type: 'spki' })
      .toString();

  it('are all keys of the file, whatever stands between them', () => {
    const file = join(folder.path, 'keys.pub');
    writeFileSync(
      file,
      `the witness of site A\n${pem('ed25519')}\r\nretired:\n${pem('ed25519').replaceAll('\n', '\r\n')}`,
    );
    expect(readTrustedKeys(file).fingerprints).toHaveLength(2);
  });

  it('are refused when the file holds something else', () => {
    const file = join(folder.path, 'keys.pub');
    const privateKey = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
    for (const [text, why] of [
      ['', 'holds no public key'],
      ['hello', 'holds no public key'],
      [privateKey, 'holds a private key'],
      [pem('ed25519') + privateKey, 'holds a private key'],
      [pem('x25519'), 'not one of Ed25519'],
      [pem('ed25519').replace(/\n[A-Za-z0-9]{4}/, '\nAAAA'), 'not one of Ed25519'],
      [pem('ed25519').replaceAll('PUBLIC KEY', 'CERTIFICATE'), 'something else'],
      [pem('ed25519').slice(0, 50), 'something else'],
      [`${pem('ed25519')}-----END PUBLIC KEY-----\n`, 'something else'],
      [pem('ed25519').replace('\n', '\n-----BEGIN PUBLIC KEY-----\n'), 'something else'],
      [pem('ed25519').replace(/\n[A-Za-z0-9]{4}/, '\n####'), 'something else'],
      // Once a time that grew with the cube of its length.
      [`-----BEGIN PUBLIC KEY-----${' '.repeat(1_000_000)}`, 'something else'],
      [`-----BEGIN PUBLIC KEY-----\n${' \n'.repeat(500_000)}`, 'something else'],
      ['-----BEGIN PUBLIC KEY-----\n'.repeat(30_000), 'something else'],
    ] as const) {
      writeFileSync(file, text);
      expect(() => readTrustedKeys(file), why).toThrow(why);
    }
    expect(() => readTrustedKeys(join(folder.path, 'none'))).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }));
    expect(() => readTrustedKeys(folder.path)).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }));
  });
});
