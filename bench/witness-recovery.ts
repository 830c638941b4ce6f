/** What is read back from a large witness: the last record of each actor, as a restore reads them, and receipts. */
import { dirname } from 'node:path';
import { Namespace } from '../src/namespace.ts';
import { RestoreSource } from '../src/store/restore-source.ts';
import { WitnessDatabase } from '../src/witness/database.ts';
import { type Checkpoint, issueCheckpoint } from '../src/witness/proofs/checkpoint.ts';
import { makeReceipt, verifyReceipt } from '../src/witness/proofs/receipt.ts';
import { openSigningKey, type SigningKey, trustedKeysOf } from '../src/witness/proofs/signing-key.ts';
import { percentiles, rounded } from './measure.ts';
import { taskId } from './witness-messages.ts';

export interface RestoreFigures {
  readonly actors: number;
  readonly ms: number;
  readonly actors_per_s: number;
  readonly entries_per_s: number;
}

/** Reads and checks the last record of every actor; nothing is written. */
export function measureRestoreRead(path: string, entries: number): RestoreFigures {
  const start = performance.now();
  const source = new RestoreSource({ path, namespace: new Namespace(), epoch: 2, endedBefore: 0 });
  let actors = 0;
  try {
    for (const { payload } of source.actors()) if (payload.length > 0) actors += 1;
  } finally {
    source.close();
  }
  const ms = performance.now() - start;
  const perSecond = (count: number) => Math.round((count / ms) * 1_000);
  return { actors, ms: Math.round(ms), actors_per_s: perSecond(actors), entries_per_s: perSecond(entries) };
}

export interface ReceiptFigures {
  /** Of the first checkpoint, which makes the tree of all entries. */
  readonly first_checkpoint_ms: number;
  readonly checkpoint_ms: number;
  readonly make_p50_ms: number;
  readonly make_p99_ms: number;
  readonly verify_p50_ms: number;
  readonly bytes: number;
  readonly entries: number;
}

const receipts = 200;

/** Receipts of tasks all over the log, each against a fresh checkpoint of the whole of it. */
export async function measureReceipts(path: string, entries: number): Promise<ReceiptFigures> {
  const folder = dirname(path);
  const key = await openSigningKey(folder);
  const trusted = trustedKeysOf(folder);
  if (!trusted) throw new Error(`${folder} has no public key`);
  const witness = WitnessDatabase.open(path);
  try {
    const [[first], [again, checkpoint]] = [issue(witness, key), issue(witness, key)];
    const make: number[] = [];
    const verify: number[] = [];
    let bytes = 0;
    let inReceipt = 0;
    for (let at = 0; at < receipts; at++) {
      const id = taskId(Math.floor((at / receipts) * (entries / 4)));
      let start = performance.now();
      const receipt = makeReceipt(witness.sqlite, { kind: 'task', id }, checkpoint.chains, key);
      make.push(performance.now() - start);
      start = performance.now();
      const report = verifyReceipt(receipt, trusted);
      verify.push(performance.now() - start);
      if (report.errors.length > 0) throw new Error(JSON.stringify(report.errors));
      bytes = Math.max(bytes, JSON.stringify(receipt).length);
      inReceipt = receipt.entries.length;
    }
    const [made, verified] = [percentiles(make), percentiles(verify)];
    return {
      first_checkpoint_ms: rounded(first),
      checkpoint_ms: rounded(again),
      make_p50_ms: rounded(made.p50),
      make_p99_ms: rounded(made.p99),
      verify_p50_ms: rounded(verified.p50),
      bytes,
      entries: inReceipt,
    };
  } finally {
    witness.close();
  }
}

function issue(witness: WitnessDatabase, key: SigningKey): [ms: number, Checkpoint] {
  const start = performance.now();
  const checkpoint = issueCheckpoint(witness.sqlite, key, Date.now());
  return [performance.now() - start, checkpoint];
}
