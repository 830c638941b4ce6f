/** Receipts: what is in them, and when none is made. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { columns } from '../../src/witness/columns.ts';
import type { WitnessDatabase } from '../../src/witness/database.ts';
import type { Entry } from '../../src/witness/entry.ts';
import { latestHead, type SignedHead } from '../../src/witness/proofs/checkpoint.ts';
import { makeReceipt, verifyReceipt } from '../../src/witness/proofs/receipt.ts';
import type { SigningKey, TrustedKeys } from '../../src/witness/proofs/signing-key.ts';
import { actorMessage, actorMessages, actors, never, startedAt, taskRecord } from './messages.ts';
import { fill, type SignedWitness, signedWitness } from './signed-witness.ts';

let signed: SignedWitness;
let witness: WitnessDatabase;
let key: SigningKey;
let trusted: TrustedKeys;
let issue: SignedWitness['issue'];
let receiptOf: SignedWitness['receiptOf'];

beforeEach(async () => {
  signed = await signedWitness();
  ({ witness, key, trusted, issue, receiptOf } = signed);
});
afterEach(async () => await signed.remove());

const task = (at: number) => ({ kind: 'task', id: `t-${at}` });
const codes = (receipt: unknown) => verifyReceipt(receipt, trusted).errors.map(({ code }) => code);

describe('a receipt', () => {
  it('holds the entries of an actor over all epochs and nothing of others, and verifies by the key alone', () => {
    fill(witness);
    const receipt = receiptOf(task(0), issue(), key);
    expect(receipt).toMatchObject({ format: 'infrafabric-receipt/1', actor: 'task:t-0', issued_at: startedAt });
    expect(receipt.entries.map(({ chain, n }) => [chain, n])).toEqual([
      [actors, 1],
      [actors, 2],
      [actors, 3],
      [actors, 4],
      ['IF_actors/2', 5],
    ]);
    expect(Object.keys(receipt.entries[0] as Entry)).toEqual(columns.map(({ name }) => name));
    const { entries: _, proofs: __, ...rest } = receipt;
    expect(JSON.stringify(receipt)).not.toContain('t-1"');
    expect(rest.checkpoints.map(({ chain }) => chain)).toEqual([actors, 'IF_actors/2']);
    const report = verifyReceipt(receipt, trusted);
    expect(report).toMatchObject({ ok: true, actor: 'task:t-0', key: key.fingerprint, complete: true, errors: [] });
    expect(report.entries.at(-1)).toEqual({
      chain: 'IF_actors/2',
      seq: 2,
      n: 5,
      timestamp: startedAt + 2,
      event: 'RESTORED',
      state: 'claimed',
      ok: true,
    });
  });

  it('may be of one entry, also of a gap', () => {
    witness.appendBatch(actors, [actorMessage(1), actorMessage(4)], () => 'trimmed');
    for (const seq of [1, 2, 4]) {
      const receipt = receiptOf({ chain: actors, seq });
      expect(receipt).toMatchObject({ actor: null, entries: [{ seq }] });
      expect(verifyReceipt(receipt, trusted)).toMatchObject({ ok: true, complete: false, actor: null });
    }
  });

  it('holds the gap that explains why transitions are missing', () => {
    const mixed = [1, 2, 4, 5].map((seq) => actorMessage(seq));
    witness.appendBatch(actors, mixed, () => 'trimmed');
    const receipt = receiptOf(task(0));
    expect(receipt.entries.map(({ n, event }) => n ?? event)).toEqual([1, 2, 'gap', 4]);
    expect(verifyReceipt(receipt, trusted).ok).toBe(true);
    const without = (at: number) => ({
      ...receipt,
      entries: receipt.entries.toSpliced(at, 1),
      proofs: receipt.proofs.toSpliced(at, 1),
    });
    expect(codes(without(2))).toEqual(['SEQ_MISSING']);
    expect(codes(without(3))).toEqual(['FIELD_TYPE']);
  });

  it('is refused for an actor of which transitions were lost, but made of each entry', () => {
    const mixed = [1, 2, 4, 5].map((seq) => actorMessage(seq));
    witness.appendBatch(actors, mixed, () => 'lost');
    expect(() => receiptOf(task(0))).toThrow(expect.objectContaining({ code: 'CONFLICT' }));
    for (const seq of [1, 2, 3, 4])
      expect(verifyReceipt(receiptOf({ chain: actors, seq }), trusted)).toMatchObject({ ok: true });
  });

  it('holds all lives of an id that was used again', () => {
    witness.appendBatch(
      actors,
      [...actorMessages(1, 4), ...[5, 6].map((seq) => actorMessage(seq, taskRecord(seq, { id: 't-0' })))],
      never,
    );
    const receipt = receiptOf(task(0));
    expect(receipt.entries.map(({ n }) => n)).toEqual([1, 2, 3, 4, 1, 2]);
    expect(verifyReceipt(receipt, trusted).ok).toBe(true);
  });

  it('keeps unicode, huge numbers, nulls, empty strings and binary-like text exact', () => {
    const title = '\u0000\u0007\u001b[31m "\\ \u2028 ünï 🐝 \ufffd ';
    const record = taskRecord(4, {
      id: 't-9',
      n: 1,
      event: { id: 'e', type: 'CREATE', cost: { cost_usd: 0.1, tokens_in: Number.MAX_SAFE_INTEGER, tokens_out: 0 } },
      snapshot: { status: 'active', value: { a: 'x', b: 'y' }, context: { title, none: null, empty: '', big: 1e300 } },
    });
    witness.appendBatch(actors, [actorMessage(1, record)], never);
    const receipt = receiptOf(task(9));
    expect(receipt.entries[0]).toMatchObject({ tokens_in: Number.MAX_SAFE_INTEGER, tokens_out: 0, cost_usd: 0.1 });
    expect(verifyReceipt(receipt, trusted)).toMatchObject({ ok: true, entries: [{ state: 'x.y' }] });
  });

  it('takes stored heads that cover it, and says what to do when none does', () => {
    fill(witness);
    issue();
    const heads = ['IF_actors/1', 'IF_actors/2'].map((chain) => latestHead(witness.sqlite, chain) as SignedHead);
    expect(verifyReceipt(receiptOf(task(0), heads), trusted)).toMatchObject({ ok: true, complete: false });
    witness.appendBatch('IF_actors/2', [actorMessage(3, taskRecord(3, { id: 't-0', n: 6 }))], never);
    expect(() => receiptOf(task(0), heads)).toThrow('infrafabric witness checkpoint');
    expect(() => receiptOf(task(0), heads.slice(0, 1))).toThrow(expect.objectContaining({ code: 'CONFLICT' }));
    expect(() => receiptOf(task(0), [])).toThrow(expect.objectContaining({ code: 'CONFLICT' }));
    // A fresh head is newer than what came after it only in the files of someone else.
    expect(receiptOf(task(0), heads, key).entries).toHaveLength(5);
  });

  it('is refused for what is not there, and for a database that was altered', () => {
    fill(witness);
    const heads = issue();
    expect(() => receiptOf({ kind: 'task', id: 'none' })).toThrow(
      expect.objectContaining({ code: 'TARGET_NOT_FOUND' }),
    );
    expect(() => receiptOf({ chain: actors, seq: 999 })).toThrow(expect.objectContaining({ code: 'TARGET_NOT_FOUND' }));
    for (const damage of [
      "UPDATE entries SET swarm_id = 'x' WHERE seq = 3",
      'UPDATE entries SET tokens_in = 9007199254740993 WHERE seq = 3',
      "UPDATE entries SET content_hash = printf('%064d', 1) WHERE seq = 9",
      'DELETE FROM entries WHERE seq = 3',
      'DELETE FROM entries WHERE seq = 9',
      "UPDATE entries SET actor_id = 't-7' WHERE seq = 3",
    ]) {
      witness.sqlite.exec(`SAVEPOINT before; ${damage}`);
      expect(() => makeReceipt(witness.sqlite, task(0), heads), damage).toThrow(
        expect.objectContaining({ code: 'CONFLICT' }),
      );
      witness.sqlite.exec('ROLLBACK TO before; RELEASE before');
    }
    expect(() => makeReceipt(witness.sqlite, task(0), heads)).not.toThrow();
  });

  it('grows with the logarithm of the log', () => {
    const sizes = [8, 1024].map((last, at) => {
      const from = at === 0 ? 1 : 9;
      witness.appendBatch(actors, actorMessages(from, last), never);
      return JSON.stringify(receiptOf(task(0))).length;
    });
    // Seven more hashes for each of four entries.
    expect((sizes[1] as number) - (sizes[0] as number)).toBeLessThan(4 * 7 * 70 + 100);
  });
});
