/** What verifying checkpoints finds without any database. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import {
  appendCheckpoint,
  type Checkpoint,
  issueCheckpoint,
  readCheckpoints,
} from '../../src/witness/proofs/checkpoint.ts';
import { verifyCheckpoints } from '../../src/witness/proofs/checkpoint-check.ts';
import { openSigningKey, type SigningKey } from '../../src/witness/proofs/signing-key.ts';
import { actorMessages, actors, busMessage, never, startedAt } from './messages.ts';
import { type SignedWitness, signedWitness } from './signed-witness.ts';

let signed: SignedWitness;
let dir: string;
let key: SigningKey;

beforeEach(async () => {
  signed = await signedWitness();
  ({ dir, key } = signed);
});
afterEach(async () => await signed.remove());

const append = (first: number, last: number) => signed.witness.appendBatch(actors, actorMessages(first, last), never);
const check = (checkpoints: readonly Checkpoint[]) => verifyCheckpoints(checkpoints, signed.trusted);

async function keep(now: number): Promise<void> {
  const { sqlite } = signed.witness;
  await appendCheckpoint(join(dir, 'checkpoints.jsonl'), sqlite, issueCheckpoint(sqlite, key, now));
}

describe('verifying checkpoints alone', () => {
  let checkpoints: Checkpoint[];
  beforeEach(async () => {
    append(1, 100);
    signed.witness.appendBatch('IF_bus/1', [busMessage(1, 'a', Buffer.from('1'))], never);
    await keep(startedAt);
    append(101, 300);
    await keep(startedAt + 1);
    append(301, 400);
    await keep(startedAt + 2);
    checkpoints = readCheckpoints(readFileSync(join(dir, 'checkpoints.jsonl'), 'utf8'));
    expect(check(checkpoints)).toMatchObject({ ok: true });
  });

  const codes = (changed: readonly Checkpoint[]) =>
    check([...changed]).errors.map(({ checkpoint, code }) => `${checkpoint} ${code}`);
  const at = (index: number) => structuredClone(checkpoints[index]) as Checkpoint & Record<string, unknown>;

  it('finds what was changed in a head, and a signature by another key', async () => {
    const [head] = at(1).chains;
    for (const change of [
      { entries: 299 },
      { seq: 299 },
      { head_hash: '0'.repeat(64) },
      { root: '0'.repeat(64) },
      { issued_at: 1 },
    ]) {
      const changed = { ...at(1), chains: [{ ...head, ...change }, ...at(1).chains.slice(1)] } as Checkpoint;
      expect(codes([at(0), changed, at(2)])).toContain('2 SIGNATURE_INVALID');
    }
    const other = await openSigningKey(join(dir, 'other'));
    const resigned = { ...at(1), chains: at(1).chains.map((each) => other.sign(each)), public_key: other.publicKey };
    expect(codes([at(0), resigned, at(2)])).toEqual(['2 SIGNATURE_INVALID', '2 SIGNATURE_INVALID']);
    expect(codes([at(0), { ...at(1), public_key: other.publicKey }, at(2)])).toContain('2 SIGNATURE_INVALID');
    expect(codes([at(0), { ...at(1), issued_at: 5 }, at(2)])).toContain('2 CHECKPOINT_MISMATCH');
  });

  it('finds checkpoints that are left out, swapped, or of another history', () => {
    expect(codes([at(0), at(2)])).toEqual(['2 CHECKPOINT_MISMATCH']);
    expect(codes([at(1), at(0), at(2)])).toContain('2 CHECKPOINT_MISMATCH');
    expect(codes([at(0), { ...at(1), consistency: [] }, at(2)])).toEqual(['2 CHECKPOINT_MISMATCH']);
    expect(codes([at(0), { ...at(1), consistency: at(2).consistency }, at(2)])).toEqual(['2 CHECKPOINT_MISMATCH']);
    expect(codes([at(0), { ...at(1), chains: at(1).chains.slice(0, 1) }, at(2)])).toEqual(['2 CHECKPOINT_MISMATCH']);
  });

  it('finds that the first ones are left out, and says so of a file that goes on from another one', () => {
    expect(codes([at(1), at(2)])).toEqual(['1 CHECKPOINT_MISMATCH']);
    expect(codes([at(2)])).toEqual(['1 CHECKPOINT_MISMATCH']);
    const report = check([{ ...at(1), follows: 'checkpoints-1763700000000.jsonl' }, at(2)]);
    expect(report).toMatchObject({ ok: true, errors: [] });
    expect(report.notes).toEqual([expect.stringContaining('checkpoints-1763700000000.jsonl')]);
    expect(check(checkpoints).notes).toEqual([]);
  });

  it('finds a fork that the same key signed', () => {
    const other = WitnessDatabase.open(join(dir, 'other.db'));
    other.appendBatch(
      actors,
      actorMessages(1, 500).map((message) => ({ ...message, time_ms: 1 })),
      never,
    );
    other.appendBatch('IF_bus/1', [busMessage(1, 'a', Buffer.from('1'))], never);
    const forked = issueCheckpoint(other.sqlite, key, startedAt + 9);
    other.close();
    expect(codes([at(0), at(1), at(2), { ...forked, consistency: at(2).consistency }])).toEqual([
      '4 CHECKPOINT_MISMATCH',
    ]);
  });
});
