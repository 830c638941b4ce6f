/** A witness database with a key of its own, for tests of what it signs. */
import { join } from 'node:path';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { issueCheckpoint, type SignedHead } from '../../src/witness/proofs/checkpoint.ts';
import { makeReceipt, type Receipt, type ReceiptSubject } from '../../src/witness/proofs/receipt.ts';
import {
  openSigningKey,
  type SigningKey,
  type TrustedKeys,
  trustedKeysOf,
} from '../../src/witness/proofs/signing-key.ts';
import { tempDir } from '../support/temp.ts';
import { actorMessage, actorMessages, actors, epochMessage, never, startedAt, taskRecord } from './messages.ts';

export interface SignedWitness {
  readonly dir: string;
  readonly witness: WitnessDatabase;
  readonly key: SigningKey;
  readonly trusted: TrustedKeys;
  /** Signs all heads as they are. */
  issue(): readonly SignedHead[];
  /** A receipt as it is read from a file. */
  receiptOf(subject: ReceiptSubject, heads?: readonly SignedHead[], signer?: SigningKey): Receipt;
  remove(): Promise<void>;
}

export async function signedWitness(): Promise<SignedWitness> {
  const folder = await tempDir();
  const dir = folder.path;
  const witness = WitnessDatabase.open(join(dir, 'witness.db'));
  const key = await openSigningKey(dir);
  const issue = () => issueCheckpoint(witness.sqlite, key, startedAt).chains;
  return {
    dir,
    witness,
    key,
    trusted: trustedKeysOf(dir) as TrustedKeys,
    issue,
    receiptOf: (subject, heads = issue(), signer) =>
      JSON.parse(JSON.stringify(makeReceipt(witness.sqlite, subject, heads, signer))) as Receipt,
    remove: async () => {
      witness.close();
      await folder.remove();
    },
  };
}

/** Messages of tasks t-0, t-1, ...: four of each, in epoch 1, and a fifth of t-0 in epoch 2. */
export function fill(witness: WitnessDatabase, last = 40): void {
  witness.appendBatch(actors, actorMessages(1, last), never);
  const second = 'IF_actors/2';
  witness.appendBatch(second, [epochMessage(2, witness.head(actors)?.head_hash ?? '')], never);
  const restored = { id: 't-0', n: 5, event: { id: 'e-r', type: 'RESTORED' } };
  witness.appendBatch(second, [actorMessage(2, taskRecord(2, restored))], never);
}
