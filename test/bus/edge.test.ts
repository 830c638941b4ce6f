/** The edge of the bus, from outside: real servers, a swarm's own credentials, and bodies that nobody should send. */
import { headers, type Msg, type NatsConnection } from '@nats-io/nats-core';
import fc from 'fast-check';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Coordinator } from '../../actors/coordinator/coordinator.ts';
import { operation } from '../../src/bus/operation.ts';
import { Responder } from '../../src/bus/responder.ts';
import { packBytes, unpackBytes } from '../../src/data/codec.ts';
import { startFabric, type TestFabric } from '../coordinator/in-process.ts';

interface Answer {
  readonly ok: boolean;
  readonly result?: { readonly [field: string]: unknown };
  readonly error?: { readonly code: string; readonly message: string; readonly retryable: boolean };
  readonly type: string;
}

let fabric: TestFabric;
let coordinator: Coordinator;
let alpha: NatsConnection;
let beta: NatsConnection;
let operator: NatsConnection;

beforeAll(async () => {
  fabric = await startFabric();
  coordinator = await fabric.coordinator();
  const { identity } = fabric.cluster;
  alpha = await fabric.cluster.connect(await identity.mintSwarm('alpha'));
  beta = await fabric.cluster.connect(await identity.mintSwarm('beta'));
  operator = await fabric.cluster.connect();
});
afterAll(async () => await fabric?.stop());

async function ask(op: string, body: Uint8Array | string, type?: string, from = alpha, id = 'alpha'): Promise<Answer> {
  const h = headers();
  if (type !== undefined) h.set('Content-Type', type);
  const message = await from.request(`if.command.${id}.${op}`, body, { headers: h, timeout: 10_000 });
  const answered = message.headers?.get('Content-Type') ?? '';
  const value = answered === 'application/json' ? message.json<Answer>() : (unpackBytes(message.data) as Answer);
  return { ...value, type: answered };
}

const json = async (op: string, value: unknown) => await ask(op, JSON.stringify(value), 'application/json');
const msgpack = async (op: string, value: unknown) => await ask(op, packBytes(value), 'application/msgpack');
const bytes = (...values: number[]) => new Uint8Array(values);

/** Refused with the code, and the message holds each of these words. */
function expectRefusal(answer: Answer, code: string, ...words: string[]): void {
  expect(answer).toMatchObject({ ok: false, error: { code, retryable: code === 'RATE_LIMITED' } });
  for (const word of words) expect(answer.error?.message).toContain(word);
}

const task = { task_id: 'edge.1', task_type: 'x' };
const nested = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
const packedNested = (levels: number) =>
  Buffer.concat([...Array.from({ length: levels }, () => bytes(0x81, 0xa1, 0x61)), bytes(1)]);

describe('a body that is not what it should be is refused by name', () => {
  const invalid: Array<[string, () => Promise<Answer>, ...string[]]> = [
    ['neither MessagePack nor JSON', () => ask('task.create', 'hello there'), 'JSON'],
    ['cut off JSON', () => ask('task.create', '{"task_id": "a"'), 'JSON'],
    ['cut off MessagePack', () => ask('task.create', packBytes(task).subarray(0, 12)), 'ends too early'],
    [
      'MessagePack with something behind it',
      () => ask('task.create', Buffer.concat([packBytes(task), bytes(0xc0)])),
      'after its end',
    ],
    [
      'JSON that claims to be MessagePack',
      () => ask('task.create', JSON.stringify(task), 'application/msgpack'),
      'MessagePack',
    ],
    ['MessagePack that claims to be JSON', () => ask('task.create', packBytes(task), 'application/json'), 'JSON'],
    ['JSON that is not UTF-8', () => ask('task.create', Buffer.from('{"task_id":"\xff"}', 'latin1')), 'JSON'],
    ['an array as JSON', () => json('task.create', [task]), 'an array'],
    ['an array as MessagePack', () => msgpack('task.create', [task]), 'an array'],
    ['a number', () => json('task.create', 7), 'a number'],
    ['null', () => json('task.create', null), 'null'],
    ['an empty body where fields are needed', () => ask('task.create', ''), 'task_id'],
    ['a missing field', () => json('task.create', { task_id: 'a' }), 'task_type'],
    ['a field of the wrong type', () => msgpack('task.create', { ...task, task_type: 5 }), 'task_type', '5'],
    ['a number as text', () => json('task.create', { ...task, priority: '5' }), 'priority', '"5"'],
    ['a broken number', () => json('task.create', { ...task, lease_ms: 1_000.5 }), 'lease_ms', '1000.5'],
    ['a number out of range', () => json('task.create', { ...task, lease_ms: 999 }), 'lease_ms', '999'],
    ['a list with something else in it', () => json('task.create', { ...task, requires: ['a', 1] }), 'requires.1'],
    ['money with seven decimals', () => json('task.create', { ...task, cost_estimate: 0.0000001 }), 'cost_estimate'],
    ['null where a value is expected', () => json('task.create', { ...task, metadata: null }), 'metadata', 'null'],
    [
      'a time after the year 9999',
      () => json('task.create', { ...task, not_before: 253_402_300_800_000 }),
      'not_before',
    ],
    ['an unknown field', () => json('task.create', { ...task, shell: 'rm' }), 'shell'],
    [
      'an unknown field inside a field',
      () => json('task.complete', { task_id: 'a', cost: { cost_usd: 1, tip: 2 } }),
      'tip',
      'cost',
    ],
    ['an id with two dots in a row', () => json('task.create', { ...task, task_id: 'a..b' }), 'task_id', '"a..b"'],
    ['an id with a wildcard', () => json('task.get', { task_id: '*' }), 'task_id'],
    ['an id that leaves its place', () => json('task.get', { task_id: '../a' }), 'task_id'],
    ['an id with a line break', () => json('task.get', { task_id: 'a\n' }), 'task_id'],
    ['an id with a space', () => json('task.claim', { task_id: 'a b' }), 'task_id'],
    ['an id of 129 characters', () => json('task.get', { task_id: 'x'.repeat(129) }), 'task_id'],
    ['an empty id', () => json('task.get', { task_id: '' }), 'task_id'],
    ['a swarm id in capitals', () => json('swarm.get', { swarm_id: 'Alpha' }), 'swarm_id'],
    [
      'a key twice in JSON',
      () => ask('task.create', '{"task_id":"a","task_type":"x","task_id":"b"}'),
      '"task_id"',
      'twice',
    ],
    [
      'a key twice in JSON, once escaped',
      () => ask('task.create', '{"task_id":"a","task_type":"x","task\\u005fid":"b"}'),
      'twice',
    ],
    ['a key twice in MessagePack', () => ask('task.create', bytes(0x82, 0xa1, 0x61, 1, 0xa1, 0x61, 2)), '"a"', 'twice'],
    [
      'a key twice deep inside',
      () => ask('task.create', '{"task_id":"a","task_type":"x","metadata":{"m":[{"k":1,"k":1}]}}'),
      '"k"',
    ],
    [
      '__proto__ in JSON',
      () => ask('task.create', '{"task_id":"a","task_type":"x","metadata":{"__proto__":{"x":1}}}'),
      '__proto__',
    ],
    ['__proto__ in JSON, escaped', () => ask('task.create', '{"\\u005f_proto__":{}}'), '__proto__'],
    [
      '__proto__ in MessagePack',
      () => ask('task.create', Buffer.concat([bytes(0x81, 0xa9), Buffer.from('__proto__'), bytes(1)])),
      '__proto__',
    ],
    ['constructor as a field', () => json('task.create', { ...task, constructor: 1 }), 'constructor'],
    ['NaN in MessagePack', () => msgpack('task.create', { ...task, priority: Number.NaN }), 'NaN'],
    [
      'infinity in MessagePack',
      () => msgpack('task.create', { ...task, priority: Number.POSITIVE_INFINITY }),
      'Infinity',
    ],
    ['infinity in JSON', () => ask('task.create', '{"task_id":"a","task_type":"x","priority":1e999}'), 'priority'],
    ['NaN in JSON', () => ask('task.create', '{"task_id":"a","task_type":"x","priority":NaN}'), 'JSON'],
    [
      'an integer that is too large, in JSON',
      () => ask('task.create', '{"task_id":"a","task_type":"x","metadata":{"n":9007199254740993}}'),
      'metadata.n',
    ],
    [
      'an integer that is too large, in MessagePack',
      () => ask('task.create', bytes(0x81, 0xa1, 0x61, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)),
      '2^53',
    ],
    ['a huge number, in either encoding', () => msgpack('task.create', { ...task, metadata: { n: 1e300 } }), '2^53'],
    ['binary', () => msgpack('task.create', { ...task, metadata: { b: Buffer.from('abc') } }), 'binary'],
    ['a time as an extension', () => msgpack('task.create', { ...task, metadata: { at: new Date(0) } }), 'extension'],
    ['a map with a number as key', () => ask('task.create', bytes(0x81, 0x01, 0x02)), 'key'],
    ['text that is not UTF-8, in MessagePack', () => ask('task.create', bytes(0x81, 0xa1, 0x61, 0xa1, 0xff)), 'UTF-8'],
    [
      'a lone surrogate',
      () => ask('task.create', '{"task_id":"a","task_type":"x","metadata":{"s":"\\ud800"}}'),
      'metadata.s',
    ],
    ['65 levels in JSON', () => ask('task.create', nested(65)), '64'],
    ['65 levels in MessagePack', () => ask('task.create', packedNested(65)), '64'],
    ['100,000 levels in JSON', () => ask('task.create', nested(100_000)), '64'],
    [
      '100,000 levels of arrays in JSON',
      () => ask('task.create', `${'['.repeat(100_000)}${']'.repeat(100_000)}`),
      '64',
    ],
    ['100,000 levels in MessagePack', () => ask('task.create', packedNested(100_000)), '64'],
    [
      'a list that claims four billion items',
      () => ask('task.create', bytes(0x81, 0xa1, 0x61, 0xdd, 0xff, 0xff, 0xff, 0xff)),
      'ends too early',
    ],
    ['an operation that does not exist', () => json('task.destroy', {}), '"destroy"', 'create'],
    ['an operation of the language', () => json('task.toString', {}), '"toString"'],
  ];
  for (const [name, send, ...words] of invalid) {
    it(name, async () => expectRefusal(await send(), 'INVALID_REQUEST', ...words));
  }

  it('more than a megabyte', async () => {
    expectRefusal(
      await json('task.create', { ...task, metadata: { text: 'x'.repeat(2_000_000) } }),
      'PAYLOAD_TOO_LARGE',
      '1048576',
    );
    expectRefusal(await ask('task.create', new Uint8Array(2_000_000)), 'PAYLOAD_TOO_LARGE', '2000000');
    // Up to the limit it is taken.
    const text = 'x'.repeat(1024 * 1024 - 200);
    expect(await json('task.create', { ...task, task_id: 'edge.large', metadata: { text } })).toMatchObject({
      ok: true,
    });
  });

  it('another swarm’s id, where it is not the target', async () => {
    expectRefusal(await json('task.create', { ...task, swarm_id: 'beta' }), 'UNAUTHORIZED', 'beta');
    expectRefusal(await json('swarm.heartbeat', { swarm_id: 'beta' }), 'UNAUTHORIZED', 'beta');
    expectRefusal(
      await json('swarm.invite', { swarm_id: 'alpha', grants: ['system.process.execute'] }),
      'UNAUTHORIZED',
    );
    expect(await json('task.create', { ...task, task_id: 'edge.own', swarm_id: 'alpha' })).toMatchObject({ ok: true });
  });

  it('and none of it has made a task, nor kept the service from its work', async () => {
    for (const id of ['a', 'b', 'edge.1']) expect(await coordinator.store.read({ kind: 'task', id })).toBeUndefined();
    expect(await json('task.create', task)).toMatchObject({
      ok: true,
      result: { task_id: 'edge.1', state: 'available' },
    });
  });
});

describe('an answer', () => {
  it('uses the encoding of its request', async () => {
    expect((await json('task.get', { task_id: 'edge.1' })).type).toBe('application/json');
    expect((await msgpack('task.get', { task_id: 'edge.1' })).type).toBe('application/msgpack');
    expect((await ask('task.get', JSON.stringify({ task_id: 'edge.1' }))).type).toBe('application/json');
    expect((await ask('task.get', packBytes({ task_id: 'edge.1' }))).type).toBe('application/msgpack');
    expect((await ask('task.get', packBytes({ task_id: 'edge.1' }), 'text/plain')).type).toBe('application/msgpack');
    expect((await ask('task.get', JSON.stringify({ task_id: 'edge.1' }), 'application/json; charset=utf-8')).type).toBe(
      'application/json',
    );
    expect((await msgpack('task.get', { task_id: 'nobody' })).type).toBe('application/msgpack');
    const { type: _one, ...first } = await json('task.get', { task_id: 'edge.1' });
    const { type: _other, ...second } = await msgpack('task.get', { task_id: 'edge.1' });
    expect(first).toEqual(second);
  });

  it('comes to an empty body as to {}', async () => {
    expect(await ask('task.list', '')).toMatchObject({ ok: true, result: { cursor: null } });
  });

  it('comes to random bytes, and is never a fault of the fabric', async () => {
    const ops = ['task.create', 'task.list', 'task.complete', 'swarm.register'];
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => new TextEncoder().encode(text)),
      fc.object().map(packBytes),
    );
    const type = fc.constantFrom(undefined, 'application/json', 'application/msgpack', 'nonsense');
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...ops), body, type, async (op, sent, contentType) => {
        const answer = await ask(op, sent, contentType);
        if (!answer.ok) expect(answer.error?.code).toMatch(/^(INVALID_REQUEST|UNAUTHORIZED)$/);
      }),
      { numRuns: 300 },
    );
  });
});

describe('a request whose answer would go elsewhere', () => {
  const forged = [
    ['into another swarm’s inbox', '_INBOX_beta.x.1'],
    ['to another swarm’s commands', 'if.command.beta.task.cancel'],
    ['to JetStream', '$JS.API.STREAM.PURGE.KV_IF_actors'],
    ['into the log', '$KV.IF_actors.task.forged'],
    ['into another swarm’s mailbox', 'if.inbox.beta.task'],
    ['to a prefix that only begins like its own', '_INBOX_alphabet.x.1'],
    ['to its own prefix and nothing behind it', '_INBOX_alpha'],
    ['nowhere', undefined],
  ] as const;

  for (const [where, reply] of forged) {
    it(`${where} is not acted on and not answered`, async () => {
      const id = `forged-${forged.findIndex(([name]) => name === where)}`;
      const heard: Msg[] = [];
      // In the account of the services, where whatever they answer passes by.
      const spy = operator.subscribe(reply ?? '>', { callback: (_, message) => void heard.push(message) });
      await operator.flush();
      const body = JSON.stringify({ task_id: id, task_type: 'x' });
      alpha.publish('if.command.alpha.task.create', body, reply === undefined ? {} : { reply });
      // Requests of one connection are taken in order: when this is answered, that one was seen.
      expect(await json('task.create', { task_id: `after-${id}`, task_type: 'x' })).toMatchObject({ ok: true });
      await operator.flush();
      spy.unsubscribe();
      expect(await coordinator.store.read({ kind: 'task', id })).toBeUndefined();
      const texts = heard.map((message) => `${message.subject} ${message.string()}`);
      expect(
        texts.filter((text) => text.includes(id) && !text.includes(`after-${id}`) && text.includes('"ok"')),
      ).toEqual([]);
      if (reply !== undefined) expect(texts).toEqual([]);
    });
  }
});

describe('a swarm that asks too much at once', () => {
  it('is told so, and others are served meanwhile', async () => {
    let open: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const { nc, namespace } = await fabric.context('slow');
    const slow = operation({ wait: z.boolean() }, async ({ body }) => {
      if (body.wait) await gate;
      return { served: true };
    });
    const codes: string[] = [];
    const responder = new Responder({
      nc,
      namespace,
      service: 'slow',
      operations: { call: slow },
      log: pino({ level: 'silent' }),
      maxInFlightPerCaller: 50,
      onAnswer: (_, code) => codes.push(code),
    });
    await nc.flush();
    const waiting = Array.from({ length: 60 }, () => json('slow.call', { wait: true }));
    const refused = await Promise.race([
      Promise.all(waiting).then(() => 'all were taken'),
      json('slow.call', { wait: false }),
    ]);
    expectRefusal(refused as Answer, 'RATE_LIMITED', '50', 'alpha');
    const other = await ask('slow.call', JSON.stringify({ wait: false }), 'application/json', beta, 'beta');
    expect(other).toMatchObject({ ok: true, result: { served: true } });
    open();
    const answers = await Promise.all(waiting);
    expect(answers.filter(({ ok }) => ok)).toHaveLength(50);
    expect(answers.filter(({ error }) => error?.code === 'RATE_LIMITED')).toHaveLength(10);
    expect(await json('slow.call', { wait: false })).toMatchObject({ ok: true });
    await responder.drain();
    expect(codes.filter((code) => code === 'ok')).toHaveLength(52);
  });
});
