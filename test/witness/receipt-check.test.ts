/** Nothing in a receipt can be changed, left out, added or swapped unnoticed. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import type { Entry, GapReason } from '../../src/witness/entry.ts';
import { issueCheckpoint, type SignedHead } from '../../src/witness/proofs/checkpoint.ts';
import { type Receipt, verifyReceipt } from '../../src/witness/proofs/receipt.ts';
import {
  openSigningKey,
  type SigningKey,
  type TrustedKeys,
  trustedKeysOf,
} from '../../src/witness/proofs/signing-key.ts';
import { actorMessage, actorMessages, actors, never, startedAt, taskRecord } from './messages.ts';
import { fill, type SignedWitness, signedWitness } from './signed-witness.ts';

let signed: SignedWitness;
let dir: string;
let key: SigningKey;
let trusted: TrustedKeys;
let issue: SignedWitness['issue'];
let receiptOf: SignedWitness['receiptOf'];

beforeEach(async () => {
  signed = await signedWitness();
  ({ dir, key, trusted, issue, receiptOf } = signed);
});
afterEach(async () => await signed.remove());

const task = (at: number) => ({ kind: 'task', id: `t-${at}` });
const codes = (receipt: unknown, by = trusted) => verifyReceipt(receipt, by).errors.map(({ code }) => code);

describe('verifying a receipt', () => {
  let receipt: Receipt;
  beforeEach(() => {
    fill(signed.witness);
    receipt = receiptOf(task(0), issue(), key);
    expect(codes(receipt)).toEqual([]);
  });

  /** Of a value, values that are near: of other types, and other values of its own. */
  function neighbours(value: unknown): unknown[] {
    const others = [null, undefined, 0, 1, '', '0', true, [], {}, [value], { value }];
    if (typeof value === 'number') others.push(value + 1, value - 1, -value, String(value), value + 0.5, -0, 2 ** 53);
    if (typeof value === 'string')
      others.push(
        `${value} `,
        ` ${value}`,
        value.slice(1),
        value.toUpperCase(),
        value.toLowerCase(),
        `${value}\u0000`,
        `${value}\ud800`,
        Number(value),
      );
    if (value === null) others.push('null', 'x', 7);
    return others.filter((other) => !Object.is(other, value));
  }

  it('finds every field of every entry changed to whatever is near', () => {
    for (const [at, entry] of receipt.entries.entries()) {
      for (const [name, value] of Object.entries(entry)) {
        for (const other of neighbours(value)) {
          const changed = { ...receipt, entries: receipt.entries.with(at, { ...entry, [name]: other } as Entry) };
          const { ok, errors } = verifyReceipt(JSON.parse(JSON.stringify(changed)), trusted);
          expect(ok, `${name}: ${JSON.stringify(value)} -> ${JSON.stringify(other)}`).toBe(false);
          expect(errors.length).toBeGreaterThan(0);
        }
      }
      const { model: _, ...fewer } = entry;
      expect(codes({ ...receipt, entries: receipt.entries.with(at, fewer as Entry) })).toEqual(['FIELD_TYPE']);
      expect(codes({ ...receipt, entries: receipt.entries.with(at, { ...entry, note: 1 } as Entry) })).toEqual([
        'FIELD_TYPE',
      ]);
    }
  });

  it('tells apart what the hash cannot: lone surrogates and negative zero', () => {
    const [entry] = receipt.entries;
    for (const change of [{ trace_id: 'trace-\ud800' }, { tokens_in: -0 }, { cost_usd: -0 }])
      expect(codes({ ...receipt, entries: receipt.entries.with(0, { ...entry, ...change } as Entry) })).toEqual([
        'FIELD_TYPE',
      ]);
  });

  it('finds every other field changed', () => {
    for (const [path, value] of leaves(receipt, [])) {
      if (path[0] === 'entries') continue;
      for (const other of neighbours(value)) {
        const changed = JSON.parse(JSON.stringify(withChange(receipt, path, other)));
        if (JSON.stringify(changed) === JSON.stringify(receipt)) continue;
        // Without the signature of the whole it is a receipt that does not say that it is complete.
        if (changed.signature === null)
          expect(verifyReceipt(changed, trusted)).toMatchObject({ ok: true, complete: false });
        else expect(codes(changed).length, `${path.join('.')}: ${JSON.stringify(other)}`).toBeGreaterThan(0);
      }
    }
  });

  const parts = (change: (list: readonly number[]) => number[]): Receipt => {
    const order = change(receipt.entries.map((_, at) => at));
    return {
      ...receipt,
      entries: order.map((at) => receipt.entries[at] as Entry),
      proofs: order.map((at) => receipt.proofs[at] as Receipt['proofs'][number]),
    };
  };

  it('finds entries that are left out, doubled or in another order, together with their proofs', () => {
    for (let at = 0; at < receipt.entries.length; at++) {
      const dropped = parts((list) => list.toSpliced(at, 1));
      expect(codes(dropped)).toContain('SIGNATURE_INVALID');
      const isInside = at > 0 && at < receipt.entries.length - 1;
      if (isInside) expect(codes({ ...dropped, signature: null })).toEqual(['SEQ_MISSING']);
      expect(codes(parts((list) => [...list.slice(0, at), at, ...list.slice(at)]))).toContain('SEQ_DUPLICATE');
    }
    const swapped = parts((list) => [1, 0, ...list.slice(2)]);
    expect(codes({ ...swapped, signature: null })).toContain('CHAIN_BROKEN');
    const epochs = parts((list) => [list.at(-1) ?? 0, ...list.slice(0, -1)]);
    expect(codes({ ...epochs, signature: null })).toContain('CHAIN_BROKEN');
    expect(codes({ ...receipt, entries: [], proofs: [] })).toContain('FIELD_TYPE');
  });

  it('finds proofs that are swapped, missing, too many or of another entry', () => {
    const { proofs } = receipt;
    const [first, second] = proofs as [Receipt['proofs'][number], Receipt['proofs'][number]];
    const wrong = [
      [second, first, ...proofs.slice(2)],
      proofs.slice(1),
      proofs.slice(0, -1),
      [...proofs, first],
      proofs.with(0, { ...first, path: second.path }),
      proofs.with(0, { ...first, index: second.index }),
      proofs.with(0, { ...second, seq: first.seq }),
      proofs.with(0, { ...first, path: first.path.slice(1) }),
      proofs.with(0, { ...first, path: [...first.path, first.path[0] as string] }),
    ];
    for (const each of wrong) expect(codes({ ...receipt, proofs: each })).toContain('CHECKPOINT_MISMATCH');
  });

  it('finds entries of another actor, with proofs of their own', () => {
    const other = receiptOf(task(1), issue(), key);
    const mixed = {
      ...receipt,
      signature: null,
      entries: [...receipt.entries.slice(0, 4), other.entries[0] as Entry],
      proofs: [...receipt.proofs.slice(0, 4), other.proofs[0] as Receipt['proofs'][number]],
      checkpoints: receipt.checkpoints.slice(0, 1),
    };
    expect(codes(mixed)).toContain('FIELD_TYPE');
    expect(codes({ ...other, actor: 'task:t-0' })).toContain('FIELD_TYPE');
    expect(codes({ ...other, actor: null, signature: null })).toContain('FIELD_TYPE');
  });

  it('believes no other key, and no other checkpoint', async () => {
    const stranger = await openSigningKey(join(dir, 'stranger'));
    const theirs = trustedKeysOf(join(dir, 'stranger')) as TrustedKeys;
    expect(codes(receipt, theirs)).toContain('SIGNATURE_INVALID');
    expect(verifyReceipt(receipt, theirs)).toMatchObject({ key: null, complete: false });
    const resigned = {
      ...receipt,
      checkpoints: receipt.checkpoints.map((head) => stranger.sign(head)),
      public_key: stranger.publicKey,
    };
    expect(codes(resigned)).toContain('SIGNATURE_INVALID');
    const claimed = { ...resigned, public_key: receipt.public_key };
    expect(codes(claimed)).toContain('SIGNATURE_INVALID');
    const early = receipt.checkpoints.map((head) =>
      key.sign({ ...head, entries: head.entries - 1, seq: head.seq - 1 }),
    );
    expect(codes({ ...receipt, signature: null, checkpoints: early })).toContain('CHECKPOINT_MISMATCH');
    const other = WitnessDatabase.open(join(dir, 'other.db'));
    other.appendBatch(
      actors,
      actorMessages(1, 40).map((message) => ({ ...message, time_ms: 5 })),
      never,
    );
    const [head] = issueCheckpoint(other.sqlite, key, startedAt).chains;
    other.close();
    const checkpoints = [head as SignedHead, ...receipt.checkpoints.slice(1)];
    expect(codes({ ...receipt, signature: null, checkpoints })).toContain('CHECKPOINT_MISMATCH');
    expect(codes({ ...receipt, checkpoints: receipt.checkpoints.slice(0, 1) })).toContain('CHECKPOINT_MISMATCH');
    expect(codes({ ...receipt, checkpoints: [...receipt.checkpoints, ...receipt.checkpoints] })).toContain(
      'CHECKPOINT_MISMATCH',
    );
  });

  it('is bounded, whatever is doubled in it', () => {
    const [head, proof, entry] = [receipt.checkpoints[0], receipt.proofs[0], receipt.entries[0]];
    for (const many of [
      { ...receipt, checkpoints: new Array<unknown>(200_000).fill(head) },
      { ...receipt, proofs: new Array<unknown>(200_000).fill(proof) },
      { ...receipt, entries: new Array<unknown>(200_000).fill(entry) },
    ])
      expect(codes(many)).toEqual(['FIELD_TYPE']);
  });

  it('never fails on what is no receipt', () => {
    for (const value of [
      null,
      undefined,
      7,
      '',
      'receipt',
      [],
      {},
      [receipt],
      { ...receipt, entries: 7 },
      { ...receipt, format: 'x' },
    ])
      expect(verifyReceipt(value, trusted)).toMatchObject({ ok: false, key: null });
  });
});

describe('transitions that are left out of a receipt', () => {
  /** Transitions 1 and 2 of a task, foreign messages that are missing, and its transitions 3 and 4. */
  function withForeignGap(missing: number, reason: GapReason): Receipt {
    const own = (seq: number, n: number) => actorMessage(seq, taskRecord(seq, { id: 't-x', n }));
    const after = 3 + missing;
    const messages = [own(1, 1), own(2, 2), own(after, 3), own(after + 1, 4), own(after + 2, 5), own(after + 3, 6)];
    signed.witness.appendBatch(actors, messages, () => reason);
    const heads = issue();
    const all = receiptOf({ kind: 'task', id: 't-x' }, heads, key);
    const gap = receiptOf({ chain: actors, seq: 3 }, heads, key);
    expect([verifyReceipt(all, trusted).ok, verifyReceipt(gap, trusted).ok]).toEqual([true, true]);
    const insert = <Item>(list: readonly Item[], [item]: readonly Item[]) => list.toSpliced(2, 0, item as Item);
    return {
      ...all,
      signature: null,
      entries: insert(all.entries, gap.entries),
      proofs: insert(all.proofs, gap.proofs),
    };
  }

  /** Without so many entries behind the gap. */
  function without(receipt: Receipt, count: number): Receipt {
    const drop = <Item>(list: readonly Item[]) => list.toSpliced(3, count);
    return { ...receipt, entries: drop(receipt.entries), proofs: drop(receipt.proofs) };
  }

  it('are excused by no more numbers than were trimmed', () => {
    const receipt = withForeignGap(2, 'trimmed');
    expect([0, 1, 2, 3].map((count) => codes(without(receipt, count)))).toEqual([[], [], [], ['SEQ_MISSING']]);
  });

  it('are never excused by numbers that were lost', () => {
    const receipt = withForeignGap(2, 'lost');
    expect([0, 1, 2].map((count) => codes(without(receipt, count)))).toEqual([[], ['SEQ_MISSING'], ['SEQ_MISSING']]);
  });
});

type Path = readonly (string | number)[];

function leaves(value: unknown, path: Path): [Path, unknown][] {
  if (typeof value !== 'object' || value === null) return [[path, value]];
  return Object.entries(value).flatMap(([name, inner]) =>
    leaves(inner, [...path, Array.isArray(value) ? Number(name) : name]),
  );
}

function withChange(value: unknown, [first, ...rest]: Path, other: unknown): unknown {
  if (first === undefined) return other;
  const copy = structuredClone(value) as Record<string | number, unknown>;
  copy[first] = withChange(copy[first], rest, other);
  return copy;
}
