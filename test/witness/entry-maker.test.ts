import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Json } from '../../machines/record.ts';
import { encodeBody, packBytes } from '../../src/data/codec.ts';
import { requireChain } from '../../src/witness/chain-name.ts';
import { entryOf, zeroHash } from '../../src/witness/entry.ts';
import { EntryMaker } from '../../src/witness/entry-maker.ts';
import { makeEpochRecord } from '../../src/witness/epoch.ts';
import type { WitnessMessage } from '../../src/witness/message.ts';
import { damaged } from '../data/msgpack-forms.ts';
import { startedAt, taskRecord } from './messages.ts';

const wrong = fc.constantFrom<Json>(
  null,
  true,
  0,
  -0,
  1.5,
  7,
  -1,
  2 ** 40,
  '',
  'é"\\',
  'x',
  [],
  ['x'],
  {},
  { type: 'x' },
  { model: 'm' },
);
const cost = fc.record(
  {
    cost_usd: fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), wrong),
    tokens_in: wrong,
    tokens_out: fc.nat(),
    model: wrong,
    other: wrong,
  },
  { requiredKeys: [] },
);
const event = fc.record(
  {
    id: fc.string(),
    type: fc.oneof({ weight: 5, arbitrary: fc.string() }, wrong),
    model: wrong,
    cost: fc.oneof(cost, wrong),
    cost_usd: wrong,
  },
  { requiredKeys: ['type'] },
);
const record = fc
  .record(
    {
      kind: fc.oneof(fc.constantFrom('task', 'swarm', 'execution', 'request', 'epoch', 'other'), wrong),
      id: fc.oneof(fc.constantFrom('alpha.x.y', 'alpha'), wrong),
      n: fc.oneof({ weight: 3, arbitrary: fc.nat() }, wrong),
      by: fc.oneof({ weight: 3, arbitrary: fc.string() }, wrong),
      trace_id: fc.oneof({ weight: 3, arbitrary: fc.string({ unit: 'binary' }) }, wrong),
      event: fc.oneof({ weight: 5, arbitrary: event }, wrong),
      component: fc.oneof(fc.string(), wrong),
      model: wrong,
      cost: fc.oneof(cost, wrong),
      extra: wrong,
    },
    { requiredKeys: [] },
  )
  .map((fields) => ({ ...taskRecord(4), ...fields }) as unknown as Json);
const headers = fc.constantFrom(
  undefined,
  new Map(),
  new Map([['Content-Type', 'application/json']]),
  new Map([['Content-Type', 'application/msgpack']]),
);

describe('a row that is made fast', () => {
  it('is the row that the rule makes, whatever the message is', () => {
    const maker = new EntryMaker();
    const bodies = record.chain((value) => fc.constantFrom(packBytes(value), encodeBody(value, 'json')));
    const body = fc.oneof({ weight: 4, arbitrary: bodies }, damaged(bodies.map((bytes) => Buffer.from(bytes))));
    const chain = fc.constantFrom('IF_actors/1', 'IF_journal/1', 'IF_bus/2');
    fc.assert(
      fc.property(chain, body, headers, fc.integer({ min: 1, max: 3 }), (name, bytes, of, seq) => {
        const message: WitnessMessage = {
          seq,
          time_ms: startedAt,
          subject: '$KV.IF_bus.a.b',
          headers: of,
          body: bytes,
        };
        const made = maker.make(requireChain(name), message);
        const payload = typeof made.payload === 'string' ? made.payload : Buffer.from(made.payload).toString('utf8');
        expect({ ...made, payload }).toEqual(entryOf(name, message));
      }),
      { numRuns: 3_000 },
    );
  });

  it('is made from the bytes for records and journal entries, and for nothing else', () => {
    const maker = new EntryMaker();
    const made = (name: string, seq: number, body: Uint8Array) =>
      typeof maker.make(requireChain(name), { seq, time_ms: startedAt, subject: '$KV.IF_bus.a', body }).payload;
    const entry = { event: 'note', component: 'mine', by: 'alpha', id: 'x', trace_id: 't', payload: { a: [1] } };
    expect(made('IF_actors/1', 2, packBytes(taskRecord(4)))).toBe('object');
    expect(made('IF_journal/1', 2, packBytes(entry))).toBe('object');
    expect(made('IF_journal/1', 2, encodeBody(entry, 'json'))).toBe('string');
    expect(made('IF_bus/1', 2, packBytes({ a: 1 }))).toBe('string');
    const opening = makeEpochRecord({ epoch: 1, epoch_id: 'id', previous_head: zeroHash }, startedAt);
    expect(made('IF_actors/1', 1, packBytes(opening))).toBe('string');
  });
});
