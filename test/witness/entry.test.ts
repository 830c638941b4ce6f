import { describe, expect, it } from 'vitest';
import { encodeBody, packBytes } from '../../src/data/codec.ts';
import { entryOf } from '../../src/witness/entry.ts';
import { makeEpochRecord, readEpochRecord } from '../../src/witness/epoch.ts';
import type { WitnessMessage } from '../../src/witness/message.ts';
import { actorMessage, actors, busMessage, journalMessage, startedAt, taskRecord } from './messages.ts';

describe('the row of a message', () => {
  it('has the columns of the actor record, and the record as canonical JSON', () => {
    const row = entryOf(actors, actorMessage(4));
    expect(row).toMatchObject({
      chain: actors,
      seq: 4,
      timestamp: startedAt + 4,
      component: 'IF.coordinator',
      event: 'COMPLETE',
      swarm_id: 'swarm-1',
      kind: 'task',
      actor_id: 't-0',
      n: 4,
      trace_id: 'trace-4',
      tokens_in: 1200,
      tokens_out: 80,
      cost_usd: 0.25,
      model: 'm-1',
    });
    expect(JSON.parse(row.payload)).toEqual(taskRecord(4));
    expect(row.payload.startsWith('{"at":')).toBe(true);
  });

  it('is the same for MessagePack and JSON', () => {
    const message = actorMessage(1);
    const json = { ...message, body: encodeBody(taskRecord(1), 'json') };
    expect(entryOf(actors, json)).toEqual(entryOf(actors, message));
  });

  const kinds: ReadonlyArray<readonly [string, string, string, string]> = [
    ['task', 't-1', 'IF.coordinator', 'by-1'],
    ['blocker', 'b-1', 'IF.coordinator', 'by-1'],
    ['swarm', 'alpha', 'IF.governor', 'alpha'],
    ['approval', 'a-1', 'IF.governor', 'by-1'],
    ['execution', 'alpha.x.y', 'IF.executor', 'alpha'],
    ['request', 'alpha.x', 'IF.proxy', 'alpha'],
    ['service', 'witness', 'IF.supervisor', 'by-1'],
    ['epoch', '1', 'IF.fabric', 'by-1'],
  ];
  it.each(kinds)('files %s:%s under %s and swarm %s', (kind, id, component, swarm) => {
    const row = entryOf(actors, actorMessage(9, taskRecord(9, { kind, id, by: 'by-1' })));
    expect([row.component, row.swarm_id]).toEqual([component, swarm]);
  });

  it('takes the model from the event when the cost has none', () => {
    const event = { id: 'e', type: 'CHARGE', model: 'outer', cost: { cost_usd: -0, tokens_in: 1.5 } };
    const row = entryOf(actors, actorMessage(2, taskRecord(2, { event })));
    expect(row).toMatchObject({ model: 'outer', cost_usd: 0, tokens_in: null, tokens_out: null });
    expect(Object.is(row.cost_usd, 0)).toBe(true);
  });

  it('takes component and event of a journal entry as given', () => {
    const body = {
      event: 'note',
      component: 'my.part',
      trace_id: 'tr',
      payload: { a: 1 },
      by: 'alpha',
      id: 'x',
      cost: { cost_usd: 1 },
    };
    const row = entryOf('IF_journal/1', journalMessage(2, body));
    expect(row).toMatchObject({
      component: 'my.part',
      event: 'note',
      kind: 'journal',
      swarm_id: 'alpha',
      actor_id: 'x',
      trace_id: 'tr',
      cost_usd: 1,
    });
    expect(JSON.parse(row.payload)).toEqual(body);
  });

  it('shows writes and deletions of bus keys', () => {
    const put = entryOf(
      'IF_bus/1',
      busMessage(2, 'a.b', packBytes({ v: [1] }), { 'IF-By': 'alpha', 'IF-Trace': 'tr' }),
    );
    expect(put).toMatchObject({
      component: 'IF.bus',
      event: 'PUT',
      kind: 'key',
      actor_id: 'a.b',
      swarm_id: 'alpha',
      trace_id: 'tr',
    });
    expect(JSON.parse(put.payload)).toEqual({ by: 'alpha', key: 'a.b', op: 'PUT', trace_id: 'tr', value: { v: [1] } });
    const text = entryOf('IF_bus/1', busMessage(3, 'a.b', packBytes('text')));
    expect(JSON.parse(text.payload)).toEqual({ key: 'a.b', op: 'PUT', value: 'text' });
    for (const headers of [
      { 'KV-Operation': 'DEL' },
      { 'KV-Operation': 'PURGE' },
      { 'Nats-Marker-Reason': 'MaxAge' },
    ]) {
      const gone = entryOf('IF_bus/1', busMessage(4, 'a.b', new Uint8Array(), headers as Record<string, string>));
      expect([gone.event, gone.payload]).toEqual(['DELETE', '{"key":"a.b","op":"DELETE"}']);
    }
  });

  const kept: ReadonlyArray<readonly [string, Uint8Array]> = [
    ['plain text', Buffer.from('plain text')],
    ['noise', Buffer.from([0xc1, 0xff, 0x00])],
    ['JSON text that is not UTF-8', Buffer.from('7b2261223a22ff227d', 'hex')],
    ['a byte order mark before JSON', Buffer.from('\uFEFF{}')],
    ['a number that is rounded', Buffer.from('12345678901234567890')],
    ['a key that is there twice', Buffer.from('{"a":1,"a":2}')],
    ['bytes in a map', packBytes({ extra: Buffer.from('abc') })],
    ['a number that JSON has not', packBytes({ extra: Number.NaN })],
    ['endless nesting', Buffer.alloc(100_000, 0x91)],
  ];
  it.each(kept)('of a bus key that holds %s is a write of the key, with the bytes', (_, body) => {
    const row = entryOf('IF_bus/1', busMessage(3, 'a.b', body));
    expect(row).toMatchObject({ component: 'IF.bus', event: 'PUT', kind: 'key', actor_id: 'a.b' });
    expect(JSON.parse(row.payload)).toEqual({ key: 'a.b', op: 'PUT', body: Buffer.from(body).toString('base64') });
  });

  it('of an empty bus key has no value; of an unreadable first message of the bus, too, is a write', () => {
    expect(entryOf('IF_bus/1', busMessage(3, 'a', new Uint8Array())).payload).toBe('{"key":"a","op":"PUT"}');
    const first = entryOf('IF_bus/1', busMessage(1, 'a', Buffer.from('plain text')));
    expect(first).toMatchObject({ event: 'PUT', kind: 'key', actor_id: 'a' });
  });

  const unreadable: ReadonlyArray<readonly [string, Uint8Array]> = [
    ['nothing', new Uint8Array()],
    ['noise', Buffer.from([0xc1, 0xff, 0x00])],
    ['a cut record', packBytes(taskRecord(1)).slice(0, 40)],
    ['another object', packBytes({ hello: 1 })],
    ['no object', packBytes([1])],
    ['JSON text that is not UTF-8', Buffer.from('7b2261223a22ff227d', 'hex')],
    ['a date in a record', packBytes(taskRecord(1, { trace_id: new Date(5) as unknown as string }))],
    ['bytes in a record', packBytes({ ...taskRecord(1), extra: Buffer.from('abc') })],
    ['a number that JSON has not', packBytes({ ...taskRecord(1), extra: Number.NaN })],
    ['endless nesting', Buffer.alloc(100_000, 0x91)],
    ['endless JSON', Buffer.alloc(100_000, 0x5b)],
  ];
  it.each(unreadable)('of %s holds the bytes', (_, body) => {
    const message: WitnessMessage = { seq: 3, time_ms: 5, subject: '$KV.IF_actors.task.\ud800', body };
    const row = entryOf(actors, message);
    expect(row).toMatchObject({
      seq: 3,
      timestamp: 5,
      component: 'IF.witness',
      event: 'UNREADABLE',
      kind: null,
      swarm_id: null,
    });
    const payload = JSON.parse(row.payload) as { body: string; subject: string };
    expect(Buffer.from(payload.body, 'base64').equals(body)).toBe(true);
    expect(payload.subject).toBe('$KV.IF_actors.task.\ufffd');
  });

  it('does not decode a view beyond its ends', () => {
    const whole = Buffer.concat([Buffer.from('xx'), packBytes(taskRecord(1)), Buffer.from('yy')]);
    expect(entryOf(actors, { ...actorMessage(1), body: whole.subarray(2, -2) })).toEqual(
      entryOf(actors, actorMessage(1)),
    );
  });
});

describe('epoch records', () => {
  const facts = { epoch: 2, epoch_id: 'random', previous_head: 'ab'.repeat(32) };

  it('are ordinary records that say what they were made of', () => {
    const record = makeEpochRecord(facts, startedAt);
    expect(readEpochRecord(record)).toEqual(facts);
    expect(record).toMatchObject({
      kind: 'epoch',
      id: '2',
      n: 1,
      by: 'IF.fabric',
      snapshot: { status: 'done', value: 'open', context: facts },
    });
    expect(entryOf('IF_actors/2', actorMessage(1, record))).toMatchObject({
      component: 'IF.fabric',
      event: 'EPOCH',
      kind: 'epoch',
      actor_id: '2',
    });
  });

  it('open every audited stream, and only at its first message', () => {
    const body = packBytes(makeEpochRecord(facts, startedAt));
    expect(entryOf('IF_bus/2', busMessage(1, 'epoch.2', body))).toMatchObject({ kind: 'epoch', actor_id: '2' });
    expect(entryOf('IF_journal/2', { ...journalMessage(1, {}), body })).toMatchObject({ kind: 'epoch', actor_id: '2' });
    expect(entryOf('IF_bus/2', busMessage(2, 'epoch.2', body))).toMatchObject({ kind: 'key', event: 'PUT' });
  });

  it('are not made of, or read from, anything else', () => {
    for (const wrong of [
      { epoch: 0 },
      { epoch: 1.5 },
      { epoch_id: '' },
      { previous_head: 'AB'.repeat(32) },
      { previous_head: '' },
    ]) {
      expect(() => makeEpochRecord({ ...facts, ...wrong }, 1)).toThrow(/is not an epoch/);
    }
    for (const other of [null, 1, {}, taskRecord(1), { kind: 'epoch', event: { type: 'EPOCH' } }])
      expect(readEpochRecord(other)).toBeUndefined();
  });
});
