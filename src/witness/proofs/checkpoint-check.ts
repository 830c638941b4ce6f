/**
 * Verifies checkpoints by themselves, without a database: that trusted keys signed them, and that each goes on from the one
 * before it, so that all of them are heads of one history.
 */
import type { Checkpoint, ConsistencyProof } from './checkpoint-format.ts';
import { verifyConsistency } from './merkle.ts';
import type { SignedHead } from './signed-head.ts';
import { fingerprintFrom, type TrustedKeys } from './trusted-keys.ts';

export interface CheckpointFault {
  /** Which checkpoint of the file, counted from 1. */
  readonly checkpoint: number;
  readonly chain: string | null;
  readonly seq: number;
  readonly code: 'SIGNATURE_INVALID' | 'CHECKPOINT_MISMATCH';
  readonly message: string;
}

export interface CheckpointsReport {
  readonly ok: boolean;
  readonly checkpoints: number;
  /** The fingerprints of the trusted keys that signed. */
  readonly keys: readonly string[];
  /** The heads of the last checkpoint. */
  readonly chains: readonly Omit<SignedHead, 'signature'>[];
  readonly errors: readonly CheckpointFault[];
  /** What is no fault, but worth knowing. */
  readonly notes: readonly string[];
}

export function verifyCheckpoints(checkpoints: readonly Checkpoint[], trusted: TrustedKeys): CheckpointsReport {
  const errors: CheckpointFault[] = [];
  const notes: string[] = [];
  const keys = new Set<string>();
  let latest = new Map<string, SignedHead>();
  for (const [at, checkpoint] of checkpoints.entries()) {
    const note = (code: CheckpointFault['code'], head: SignedHead | undefined, message: string) =>
      errors.push({ checkpoint: at + 1, chain: head?.chain ?? null, seq: head?.seq ?? 0, code, message });
    const fingerprint = fingerprintFrom(checkpoint.public_key);
    for (const head of checkpoint.chains) {
      const verdict = trusted.verify(head);
      if (verdict === 'ok') keys.add(head.key);
      else if (verdict === 'unknown key')
        note('SIGNATURE_INVALID', head, `the key ${head.key} signed it, which is not trusted`);
      else note('SIGNATURE_INVALID', head, `it is not what the key ${head.key} signed`);
      if (head.key !== fingerprint) note('SIGNATURE_INVALID', head, 'it names another key than its checkpoint');
      if (head.issued_at !== checkpoint.issued_at)
        note('CHECKPOINT_MISMATCH', head, 'it is of another time than its checkpoint');
    }
    if (at === 0 && checkpoint.follows !== undefined)
      notes.push(
        `it goes on from the last checkpoint of ${checkpoint.follows}; put that file before it to verify both`,
      );
    else if (at === 0 && checkpoint.consistency)
      note(
        'CHECKPOINT_MISMATCH',
        undefined,
        'it goes on from one that is not in the file: lines before it are missing',
      );
    const heads = new Map(checkpoint.chains.map((head) => [head.chain, head]));
    const proofs = new Map(checkpoint.consistency?.map((proof) => [proof.chain, proof]));
    for (const before of latest.values()) {
      const why = gapBetween(before, heads.get(before.chain), proofs.get(before.chain));
      if (why !== undefined) note('CHECKPOINT_MISMATCH', heads.get(before.chain) ?? before, why);
    }
    // A chain that is left out stays known, so that it is missed in every checkpoint that follows.
    latest = new Map([...latest, ...heads]);
  }
  const chains = (checkpoints.at(-1)?.chains ?? []).map(({ signature: _, ...head }) => head);
  return { ok: errors.length === 0, checkpoints: checkpoints.length, keys: [...keys], chains, errors, notes };
}

/** Why the later head does not go on from the earlier one; undefined when it does. Clocks may go back, histories do not. */
function gapBetween(
  before: SignedHead,
  head: SignedHead | undefined,
  proof: ConsistencyProof | undefined,
): string | undefined {
  if (!head) return `the chain ends at ${before.seq} in the checkpoint before and is not in this one`;
  if (head.entries === before.entries && head.seq === before.seq && head.head_hash === before.head_hash)
    return head.root === before.root ? undefined : 'its root is another one than that of the same head before';
  if (head.entries <= before.entries || head.seq <= before.seq)
    return `it ends at ${head.seq} with ${head.entries} entries, the checkpoint before at ${before.seq} with ${before.entries}`;
  if (!proof) return `nothing proves that it goes on from the head at ${before.seq}`;
  const isProved =
    proof.from_entries === before.entries &&
    proof.from_root === before.root &&
    verifyConsistency({
      from_size: before.entries,
      from_root: before.root,
      to_size: head.entries,
      to_root: head.root,
      proof: proof.proof,
    });
  return isProved
    ? undefined
    : `its proof does not lead from the head at ${before.seq}: one of the two is of another history`;
}
