import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decode } from '@nats-io/jwt';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock } from '../../src/clock.ts';
import { authFromCreds } from '../../src/identity/connect-auth.ts';
import { openIdentity } from '../../src/identity/identity.ts';
import { Namespace } from '../../src/namespace.ts';
import { tempDir } from '../support/temp.ts';
import { inOtherProcess } from './other-process.ts';

const namespace = new Namespace();
let dir: string;
let remove: () => Promise<void>;

beforeEach(async () => {
  ({ path: dir, remove } = await tempDir());
});
afterEach(() => remove());

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);
const jwtOf = (creds: string) => decode<Record<string, unknown>>(/JWT-----\s+(\S+)\s/.exec(creds)?.[1] ?? '');
const seedOf = (text: string) => /S[A-Z][A-Z2-7]{50,}/.exec(text)?.[0];

describe('the keys of a fabric', () => {
  it('are created on first use and the same ever after', async () => {
    const first = await openIdentity(dir, namespace);
    const second = await openIdentity(dir, namespace);
    expect(second.environment).toEqual(first.environment);
    expect(await second.operatorCreds()).toBe(await first.operatorCreds());
  });

  it('are in files that only their owner can read, below folders that only he can enter', async () => {
    const fresh = join(dir, 'data');
    const identity = await openIdentity(fresh, namespace);
    await identity.operatorCreds();
    await identity.mintSwarm('alpha');
    await identity.revokeSwarm('alpha');
    const files = await filesBelow(fresh);
    expect(files.length).toBeGreaterThan(8);
    for (const file of files) expect([file, await modeOf(file)]).toEqual([file, '600']);
    for (const folder of ['', 'keys', 'keys/issued', 'keys/issued/alpha', 'keys/revoked']) {
      expect([folder, await modeOf(join(fresh, folder))]).toEqual([folder, '700']);
    }
  });

  it('are closed to others again when their folder was opened too wide', async () => {
    await mkdir(join(dir, 'keys'), { mode: 0o755 });
    await openIdentity(dir, namespace);
    expect(await modeOf(join(dir, 'keys'))).toBe('700');
  });

  it('are the same for all who open a new data directory at once', async () => {
    const identities = await Promise.all(Array.from({ length: 20 }, () => openIdentity(dir, namespace)));
    const creds = await Promise.all(identities.map((identity) => identity.operatorCreds()));
    expect(new Set(identities.map(({ environment }) => JSON.stringify(environment))).size).toBe(1);
    expect(new Set(creds).size).toBe(1);
    expect((await filesBelow(dir)).filter((file) => file.endsWith('.tmp'))).toEqual([]);
  });

  it('are the same for processes that open a new data directory at once', async () => {
    const views = await Promise.all(Array.from({ length: 4 }, () => inOtherProcess(dir, 'environment')));
    expect(new Set(views.map((view) => JSON.stringify(view))).size).toBe(1);
  });

  it('that are damaged are named without quoting them', async () => {
    await openIdentity(dir, namespace);
    const path = join(dir, 'keys', 'operator.nk');
    const seed = (await readFile(path, 'utf8')).trim();
    await writeFile(path, seed.slice(0, -3));
    const failure = await openIdentity(dir, namespace).catch((error: Error) => error);
    expect(failure).toMatchObject({ code: 'INTERNAL', message: expect.stringContaining(path) });
    expect(seedOf(`${failure} ${(failure as Error).cause}`)).toBeUndefined();
  });

  it('of another kind in the place of one are refused', async () => {
    await openIdentity(dir, namespace);
    await writeFile(join(dir, 'keys', 'system.nk'), await readFile(join(dir, 'keys', 'operator.nk')));
    await expect(openIdentity(dir, namespace)).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});

describe('credentials', () => {
  it('of a swarm name it, carry no permissions of their own, and have a key of their own each time', async () => {
    const identity = await openIdentity(dir, namespace);
    const [one, two] = [await identity.mintSwarm('alpha'), await identity.mintSwarm('alpha')];
    expect(jwtOf(one).name).toBe('alpha');
    expect(jwtOf(one).nats).not.toHaveProperty('pub');
    expect(jwtOf(one).sub).not.toBe(jwtOf(two).sub);
    expect(await readdir(join(dir, 'keys/issued/alpha'))).toHaveLength(2);
  });

  it('expire when they were told to, and never when not', async () => {
    const identity = await openIdentity(dir, namespace);
    const expiresAt = Date.now() + 60_500;
    expect(jwtOf(await identity.mintSwarm('alpha', { expiresAt })).exp).toBe(Math.ceil(expiresAt / 1000));
    expect(jwtOf(await identity.mintSwarm('alpha')).exp).toBeUndefined();
  });

  it.each(['', 'Alpha', '-a', 'a.b', 'a b', '*', '>', '../x', 'a'.repeat(64), '{{name()}}', 'alpha\n', 'operator'])(
    'are refused for the id %j, and nothing is written',
    async (id) => {
      const identity = await openIdentity(dir, namespace);
      await expect(identity.mintSwarm(id)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
      await expect(identity.revokeSwarm(id)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
      expect(await readdir(join(dir, 'keys'))).not.toContain('issued');
    },
  );

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1.5, 1_000])('are refused with the expiry %d', async (at) => {
    const identity = await openIdentity(dir, namespace);
    await expect(identity.mintSwarm('alpha', { expiresAt: at })).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });

  it('of the operator are refused when they are of another fabric', async () => {
    await (await openIdentity(dir, namespace)).operatorCreds();
    await rm(join(dir, 'keys'), { recursive: true });
    const next = await openIdentity(dir, namespace);
    await expect(next.operatorCreds()).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      message: expect.stringContaining('operator.creds'),
    });
  });

  it('tell the caller and the inbox prefix of a connection', async () => {
    const identity = await openIdentity(dir, namespace);
    const facts = (creds: string) => {
      const { callerId, inboxPrefix } = authFromCreds(creds);
      return [callerId, inboxPrefix];
    };
    expect(facts(await identity.mintSwarm('alpha'))).toEqual(['alpha', '_INBOX_alpha']);
    expect(facts(await identity.operatorCreds())).toEqual(['operator', '_INBOX_operator']);
    expect(facts(await identity.serviceCreds('coordinator'))).toEqual(['IF.coordinator', '_INBOX_IF_coordinator']);
    expect(facts(await identity.systemCreds())).toEqual(['IF.system', '_INBOX_IF_system']);
  });

  it.each(['', 'A', 'a.b', 'a b', '>'])('of a service are refused for the name %j', async (name) => {
    const identity = await openIdentity(dir, namespace);
    await expect(identity.serviceCreds(name)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });

  it('that are malformed are refused without quoting them', async () => {
    const creds = await (await openIdentity(dir, namespace)).mintSwarm('alpha');
    const jwt = /JWT-----\s+(\S+)\s/.exec(creds)?.[1] ?? '';
    const seed = seedOf(creds.slice(creds.indexOf('SEED--'))) ?? '';
    const other = seedOf((await (await openIdentity(dir, namespace)).mintSwarm('beta')).split('SEED--')[1] ?? '') ?? '';
    const cases = [
      '',
      'hello',
      creds.replace(jwt, 'x.y.z'),
      creds.replace(seed, seed.slice(4)),
      creds.slice(0, creds.indexOf('**')),
      creds.replace(seed, other),
    ];
    for (const text of cases) {
      const failure = ((): unknown => {
        try {
          return authFromCreds(text);
        } catch (error) {
          return error;
        }
      })();
      expect(failure).toMatchObject({ code: 'INVALID_REQUEST' });
      expect(String(failure)).not.toContain(seed.slice(4));
    }
  });
});

describe('revocations', () => {
  const revocationsIn = async (resolver: string): Promise<{ iat: number; users: Record<string, number> }> => {
    for (const file of await readdir(resolver)) {
      const { name, iat, nats } = decode<{ revocations: Record<string, number> }>(
        await readFile(join(resolver, file), 'utf8'),
      );
      if (name === 'IF_swarms') return { iat, users: nats.revocations ?? {} };
    }
    throw new Error('no account of the swarms');
  };
  const written = async (identity: { writeResolver(dir: string): Promise<void> }) => {
    const resolver = await mkdtemp(join(dir, 'resolver-'));
    await identity.writeResolver(resolver);
    return revocationsIn(resolver);
  };

  it('name every key of the swarm, are counted once, and leave later keys valid', async () => {
    const identity = await openIdentity(dir, namespace);
    const ended = [await identity.mintSwarm('alpha'), await identity.mintSwarm('alpha')].map((c) => jwtOf(c).sub);
    const other = jwtOf(await identity.mintSwarm('beta')).sub;
    expect(await identity.revokeSwarm('alpha')).toBe(2);
    expect(await identity.revokeSwarm('alpha')).toBe(0);
    const later = jwtOf(await identity.mintSwarm('alpha')).sub;
    const { users } = await written(identity);
    expect(Object.keys(users).sort()).toEqual(ended.sort());
    expect(users).not.toHaveProperty(other);
    expect(users).not.toHaveProperty(later);
  });

  it('of a swarm without credentials end none', async () => {
    expect(await (await openIdentity(dir, namespace)).revokeSwarm('nobody')).toBe(0);
  });

  it('count each key once when processes revoke at the same time', async () => {
    const identity = await openIdentity(dir, namespace);
    await Promise.all(Array.from({ length: 5 }, () => identity.mintSwarm('alpha')));
    const counts = await Promise.all(Array.from({ length: 3 }, () => inOtherProcess(dir, 'revoke', 'alpha')));
    expect(counts.reduce((sum: number, count) => sum + Number(count), 0)).toBe(5);
    expect(Object.keys((await written(identity)).users)).toHaveLength(5);
  });

  it('make a JWT that is newer than the one before, also when the clock goes back', async () => {
    const clock: Clock & { time: number } = { time: 2_000_000_000_000, now: () => clock.time };
    const identity = await openIdentity(dir, namespace, clock);
    const creds = [await identity.mintSwarm('alpha'), await identity.mintSwarm('beta')];
    const first = await written(identity);
    await identity.revokeSwarm('alpha');
    const second = await written(identity);
    clock.time -= 365 * 86_400_000;
    await identity.revokeSwarm('beta');
    const third = await written(identity);
    expect(second.iat).toBeGreaterThan(first.iat);
    expect(third.iat).toBeGreaterThan(second.iat);
    for (const { sub } of creds.map(jwtOf)) expect(third.users[sub]).toBeGreaterThan(clock.time / 1000);
  });

  it('are the same bytes in every process, so that nodes have nothing to exchange', async () => {
    const identity = await openIdentity(dir, namespace);
    await identity.mintSwarm('alpha');
    await identity.revokeSwarm('alpha');
    const [one, two] = [await mkdtemp(join(dir, 'r-')), await mkdtemp(join(dir, 'r-'))];
    await identity.writeResolver(one);
    await inOtherProcess(dir, 'resolver', two);
    const files = await readdir(one);
    expect(files).toHaveLength(3);
    for (const file of files)
      expect(await readFile(join(two, file), 'utf8')).toBe(await readFile(join(one, file), 'utf8'));
  });

  it('of keys that expired long ago are dropped', async () => {
    const clock: Clock & { time: number } = { time: Date.now(), now: () => clock.time };
    const identity = await openIdentity(dir, namespace, clock);
    await identity.mintSwarm('alpha', { expiresAt: clock.time + 60_000 });
    await identity.mintSwarm('alpha');
    await identity.revokeSwarm('alpha');
    expect(Object.keys((await written(identity)).users)).toHaveLength(2);
    const { iat } = await written(identity);
    clock.time += 2 * 86_400_000;
    expect(Object.keys((await written(identity)).users)).toHaveLength(1);
    expect((await written(identity)).iat).toBe(iat);
  });
});
