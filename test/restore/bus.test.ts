/** Keys of the bus across a stop: what was written last comes back, whatever it is, and what was deleted does not. */
import { join } from 'node:path';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/nats-core';
import { afterEach, describe, expect, it } from 'vitest';
import { connectTo } from '../../src/bus/connection.ts';
import { contentTypes, packBytes, unpackBytes } from '../../src/data/codec.ts';
import { authFromCreds } from '../../src/identity/connect-auth.ts';
import { establishEpoch, openEpoch } from '../../src/store/epoch.ts';
import { restoreLog } from '../../src/store/restore.ts';
import { ensureStreams } from '../../src/store/streams.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { makeEpochRecord } from '../../src/witness/epoch.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { startTestCluster } from '../support/cluster.ts';
import { until } from '../support/temp.ts';
import { busMessage } from '../witness/messages.ts';
import { LastingFabric } from './lasting-fabric.ts';

const releases: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (let release = releases.pop(); release; release = releases.pop()) await release();
});

const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const deletion = { 'KV-Operation': 'DEL' };
const asMsgpack = { 'Content-Type': contentTypes.msgpack };

/** The bus as a service sees it, with a connection of its own. */
class Bus {
  readonly #nc: NatsConnection;

  constructor(nc: NatsConnection) {
    this.#nc = nc;
  }

  async write(key: string, body: Uint8Array | string, set: Record<string, string> = {}): Promise<void> {
    const h = headers();
    for (const [name, value] of Object.entries(set)) h.set(name, value);
    await jetstream(this.#nc).publish(`$KV.IF_bus.${key}`, body, { headers: h });
  }

  /** The only message of each key. */
  async held(): Promise<Map<string, { bytes: Buffer; value?: unknown; by: string; trace: string; event: string }>> {
    const jsm = await jetstreamManager(this.#nc, { checkAPI: false });
    const { state } = await jsm.streams.info('KV_IF_bus', { subjects_filter: '>' });
    const found = new Map();
    for (const [subject, count] of Object.entries(state.subjects ?? {})) {
      const key = subject.slice('$KV.IF_bus.'.length);
      if (key.startsWith('_epoch.')) continue;
      expect([key, count]).toEqual([key, 1]);
      const message = await jsm.streams.getMessage('KV_IF_bus', { last_by_subj: subject });
      if (!message) throw new Error(`${key} has no message`);
      const { data, header } = message;
      found.set(key, {
        bytes: Buffer.from(data),
        by: header.get('IF-By'),
        trace: header.get('IF-Trace'),
        event: header.get('IF-Event'),
        ...(header.get('Content-Type') === contentTypes.msgpack ? { value: unpackBytes(data) } : {}),
      });
    }
    return found;
  }
}

async function busOf(lasting: LastingFabric): Promise<Bus & AsyncDisposable> {
  const { identity, servers } = lasting.fabric;
  if (!identity) throw new Error('an embedded fabric has an identity');
  const { authenticator, inboxPrefix } = authFromCreds(await identity.serviceCreds('bus'));
  const nc = await connectTo({ servers, authenticator, inboxPrefix, name: 'bus' });
  return Object.assign(new Bus(nc), { [Symbol.asyncDispose]: async () => await nc.close() });
}

const text = 'é 日本 🐝 \u2028 \u202e \uFEFF \u0000 "\\';
const deep = { text, [text]: [text, { nothing: null, empty: '', list: [], map: {}, number: -1.5e-7, yes: true }] };

/** Values that JSON can say, as they are written. */
const values: ReadonlyArray<
  readonly [key: string, body: Uint8Array, value: unknown, headers?: Record<string, string>]
> = [
  ['json', json(deep), deep],
  ['msgpack', packBytes(deep), deep],
  ['a.key.with.many-dots_and=signs/9', json({ a: 1 }), { a: 1 }],
  ['schlüssel.日本', json('ü'), 'ü'],
  ['text.json', json(text), text],
  ['text.msgpack', packBytes(text), text, asMsgpack],
  ['order-mark', packBytes('\uFEFFx'), '\uFEFFx', asMsgpack],
  ['nothing.json', json(null), null],
  ['nothing.msgpack', packBytes(null), null, asMsgpack],
  ['zero', json(0), 0],
  ['no', packBytes(false), false, asMsgpack],
  ['list', json([1, [2, {}]]), [1, [2, {}]]],
  ['large', json('x'.repeat(300_000)), 'x'.repeat(300_000)],
];

/** Values that JSON cannot say, or not exactly: their bytes come back. */
const bytes: ReadonlyArray<readonly [key: string, body: Uint8Array]> = [
  ['empty', Buffer.alloc(0)],
  ['plain', Buffer.from('plain text, é')],
  ['noise', Buffer.from([0xff, 0x00, 0xc1, 0xfe])],
  ['great', Buffer.from('{"n":12345678901234567890}')],
  ['twice', Buffer.from('{"a":1,"a":2}')],
  ['proto', Buffer.from('{"__proto__":1}')],
  ['binary', packBytes({ raw: Buffer.from('abc') })],
  ['endless', Buffer.alloc(20_000, 0x5b)],
];

describe('keys of the bus', () => {
  it('come back after a stop with what was written last; what was deleted stays deleted', async () => {
    const lasting = await LastingFabric.create({ nodes: 1 });
    releases.push(async () => await lasting.remove());
    await lasting.up();
    let written = 0;
    {
      await using bus = await busOf(lasting);
      const write = async (...args: Parameters<Bus['write']>) => {
        await bus.write(...args);
        written++;
      };
      for (const [key, body, , set] of values) await write(key, body, set);
      for (const [key, body] of bytes) {
        await write(key, json('an older value that can be read'));
        await write(key, body);
      }
      for (const value of ['first', 'second', 'third']) await write('several', json({ value }));
      await write('named', json(1), { 'IF-By': 'alpha', 'IF-Trace': 'trace-1' });
      for (const key of ['deleted', 'purged', 'deleted.with.a.body', 'deleted.and.back'])
        await write(key, json({ key }));
      await write('deleted', '', deletion);
      await write('purged', '', { 'KV-Operation': 'PURGE' });
      await write('deleted.with.a.body', Buffer.from([0xc1]), deletion);
      await write('deleted.and.back', '', deletion);
      await write('deleted.and.back', json('back'));
      // What would take the history away is refused by the stream.
      await expect(write('several', '', { 'KV-Operation': 'PURGE', 'Nats-Rollup': 'sub' })).rejects.toThrow(/rollup/i);
    }
    await lasting.down();
    expect(lasting.rows(`SELECT 1 FROM entries WHERE chain = 'IF_bus/1' AND kind = 'key'`)).toHaveLength(written);

    const expected = new Map<string, unknown>([
      ...values.map(([key, , value]) => [key, value] as const),
      ['several', { value: 'third' }],
      ['named', 1],
      ['deleted.and.back', 'back'],
    ]);
    await lasting.up();
    expect(lasting.told.join('\n')).toContain(`${expected.size + bytes.length} keys`);
    {
      await using bus = await busOf(lasting);
      const held = await bus.held();
      const given = [...held].filter(([, { value }]) => value !== undefined).map(([key, { value }]) => [key, value]);
      expect(new Map(given as Array<[string, unknown]>)).toEqual(expected);
      for (const [key, body] of bytes) expect([key, held.get(key)?.bytes]).toEqual([key, Buffer.from(body)]);
      expect(held.size).toBe(expected.size + bytes.length);
      expect(held.get('named')).toMatchObject({ by: 'alpha', trace: 'trace-1', event: 'RESTORED' });

      await bus.write('several', json('fourth'));
      await bus.write('deleted', json('again'));
      for (const key of ['json', 'plain']) await bus.write(key, '', deletion);
    }
    await lasting.down();
    await lasting.up();
    {
      await using bus = await busOf(lasting);
      const held = await bus.held();
      expect(held.get('several')).toMatchObject({ value: 'fourth' });
      expect(held.get('deleted')).toMatchObject({ value: 'again' });
      expect([held.has('json'), held.has('plain')]).toEqual([false, false]);
      // Through two restores.
      expect(held.get('msgpack')).toMatchObject({ value: deep });
      for (const [key, body] of bytes.filter(([key]) => key !== 'plain'))
        expect([key, held.get(key)?.bytes]).toEqual([key, Buffer.from(body)]);
      expect(held.get('named')).toMatchObject({ value: 1, by: 'alpha', trace: 'trace-1' });
      expect(held.size).toBe(expected.size + bytes.length - 1);
    }
    await lasting.down();
    const { ok, chains } = verifyDatabase(lasting.witnessDb);
    expect(chains.flatMap(({ errors }) => errors)).toEqual([]);
    expect(ok).toBe(true);
    expect(chains.filter(({ chain }) => chain.startsWith('IF_bus/'))).toMatchObject([
      { chain: 'IF_bus/1', entries: written + 1, gaps: 0 },
      { chain: 'IF_bus/2', entries: expected.size + bytes.length + 5, gaps: 0 },
      { chain: 'IF_bus/3', entries: expected.size + bytes.length, gaps: 0 },
    ]);
  });

  it('come back once, each, by a restore that was interrupted and gone on with', async () => {
    const keys = 1_000;
    const cluster = await startTestCluster({ nodes: 1 });
    releases.push(async () => await cluster.stop());
    const [nc, onlooker] = [await cluster.connect(), await cluster.connect()];
    const { namespace } = cluster;
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    await ensureStreams(jsm, namespace, { replicas: 1, storage: 'memory', maxLogBytes: 64 * 1024 * 1024 });
    const path = join(cluster.dataDir, 'witness.db');
    const database = WitnessDatabase.open(path);
    const first = packBytes(makeEpochRecord({ epoch: 1, epoch_id: 'first', previous_head: '0'.repeat(64) }, 1));
    const messages = Array.from({ length: keys }, (_, i) => busMessage(i + 2, `k.${i}`, json(i)));
    const never = () => 'lost' as const;
    const { head_hash: head } = database.appendBatch(
      'IF_bus/1',
      [busMessage(1, '_epoch.1', first), ...messages],
      never,
    );
    database.close();
    const past = new Map([['IF_bus', { epoch: 1, head }]]);
    const stop = new AbortController();
    const restore = async (signal?: AbortSignal) => {
      const { epoch } = await establishEpoch(nc, namespace, past, Date.now(), { restoring: true });
      const options = { nc, namespace, epoch, path, archiveAfterMs: 0, now: () => Date.now() };
      const restored = await restoreLog({ ...options, ...(signal ? { signal } : {}) });
      await openEpoch(nc, namespace, epoch, { origin: 'witness', ...restored }, Date.now());
      return restored;
    };
    let seen = 0;
    onlooker.subscribe('$KV.IF_bus.k.>', {
      callback: () => {
        if (++seen === 20) stop.abort(new Error('interrupted'));
      },
    });
    await onlooker.flush();
    await expect(restore(stop.signal)).rejects.toThrow('interrupted');
    const held = async () => (await jsm.streams.info(namespace.busStream)).state.messages;
    const before = await held();
    expect(before).toBeGreaterThan(20);
    expect(before).toBeLessThan(keys);

    expect(await restore()).toEqual({ actors: 0, keys });
    await until('all were seen', () => seen >= keys);
    // The epoch record, and each key once.
    expect(await held()).toBe(keys + 1);
    const { bytes: value } = (await new Bus(nc).held()).get('k.77')!;
    expect(unpackBytes(value)).toBe(77);
  });
});
