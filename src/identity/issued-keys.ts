/**
 * Which user keys were issued to which swarm, and which of them were revoked: one file per key, so that any number of
 * processes may mint and revoke at once without a lock. A key is on record here before its credentials exist.
 *
 * `issued/<swarm_id>/<public key>.json` and `revoked/<public key>`; both hold public keys and times only.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FabricError } from '../errors.ts';
import type { Revocations } from './accounts.ts';
import { codeOf, createOnce, readIfPresent } from './key-files.ts';

/** Times in milliseconds since 1970. */
const issued = z.strictObject({ issued_at: z.number(), expires_at: z.number().nullable() });
const revoked = z.strictObject({ swarm_id: z.string(), revoked_at: z.number(), expires_at: z.number().nullable() });

/** An expired key needs no revocation; a day of grace allows for clocks that differ. */
const graceMs = 86_400_000;

export class IssuedKeys {
  readonly #directory: string;

  /** `directory` is the private `DIR/keys`. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  async record(swarmId: string, publicKey: string, issuedAt: number, expiresAt: number | undefined): Promise<void> {
    const entry: z.infer<typeof issued> = { issued_at: issuedAt, expires_at: expiresAt ?? null };
    await createOnce(join(this.#directory, 'issued', swarmId, `${publicKey}.json`), () => JSON.stringify(entry));
  }

  /** Records all keys of a swarm as revoked; returns how many valid ones that ended. */
  async revoke(swarmId: string, now: number): Promise<number> {
    const folder = join(this.#directory, 'issued', swarmId);
    const names = await namesIn(folder);
    if (names.length === 0) return 0;
    // Times of revocation never go back, whatever the clock does: servers keep the JWT with the latest.
    const notBefore = (await this.revocations(now)).latest * 1000;
    let ended = 0;
    for (const name of names.filter((name) => name.endsWith('.json'))) {
      const key = await readEntry(join(folder, name), issued);
      if (!key) continue;
      const entry: z.infer<typeof revoked> = {
        swarm_id: swarmId,
        revoked_at: Math.max(now, key.issued_at, notBefore) + 1000,
        expires_at: key.expires_at,
      };
      const path = join(this.#directory, 'revoked', name.slice(0, -'.json'.length));
      const { created } = await createOnce(path, () => JSON.stringify(entry));
      if (created && (key.expires_at === null || key.expires_at > now)) ended += 1;
    }
    return ended;
  }

  /** What the account's JWT has to say about revoked keys at this time. */
  async revocations(now: number): Promise<Revocations> {
    const folder = join(this.#directory, 'revoked');
    const names = (await namesIn(folder)).filter((name) => /^U[A-Z2-7]+$/.test(name)).sort();
    const users: Record<string, number> = {};
    let latest = 0;
    for (const name of names) {
      const key = await readEntry(join(folder, name), revoked);
      if (!key) continue;
      const seconds = Math.ceil(key.revoked_at / 1000);
      latest = Math.max(latest, seconds);
      if (key.expires_at === null || key.expires_at + graceMs > now) users[name] = seconds;
    }
    return { users, latest };
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

async function readEntry<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readIfPresent(path);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    throw new FabricError(
      'INTERNAL',
      `${path} is damaged: put back a copy of it, or remove it if its key is not in use`,
    );
  }
}
