import { createAccount, createOperator, createUser, fromPublic, fromSeed } from '@nats-io/nkeys';
import { describe, expect, it } from 'vitest';
import { Nkey } from '../../src/identity/nkey.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

describe('keys', () => {
  it.each([
    ['O', createOperator],
    ['A', createAccount],
    ['U', createUser],
  ] as const)('of role %s are those of the NATS clients', (role, create) => {
    const theirs = create();
    const ours = Nkey.fromSeed(role, new TextDecoder().decode(theirs.getSeed()));
    expect(ours?.publicKey).toBe(theirs.getPublicKey());
    const made = Nkey.create(role);
    expect(fromSeed(bytes(made.exposeSeed())).getPublicKey()).toBe(made.publicKey);
    const signature = Buffer.from(made.sign('text'), 'base64url');
    expect(fromPublic(made.publicKey).verify(bytes('text'), signature)).toBe(true);
    expect(fromPublic(made.publicKey).verify(bytes('other'), signature)).toBe(false);
  });

  it('are not read from a seed of another role, with a typing error, or of another length', () => {
    const seed = Nkey.create('A').exposeSeed();
    const typo = seed.slice(0, 20) + (seed[20] === 'A' ? 'B' : 'A') + seed.slice(21);
    for (const text of [typo, seed.slice(0, -1), `${seed}A`, seed.toLowerCase(), '', `${seed}\n`]) {
      expect(Nkey.fromSeed('A', text)).toBeUndefined();
    }
    expect(Nkey.fromSeed('U', seed)).toBeUndefined();
    expect(Nkey.fromSeed('A', seed)).toBeDefined();
  });

  it('do not show their seed when they are printed', () => {
    const key = Nkey.create('U');
    expect(JSON.stringify(key) + String(key)).not.toContain(key.exposeSeed());
  });
});
