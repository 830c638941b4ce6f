/**
 * Verifies receipts, with nothing but the receipt and the public keys that are trusted. Every part of a receipt is bound
 * to what was signed, so that whatever is changed in it is found; the check goes on after the first fault.
 */

import { stateName } from '../../../machines/record.ts';
import { parseChain } from '../chain-name.ts';
import { storedValues } from '../columns.ts';
import type { Entry } from '../entry.ts';
import { RowHasher } from '../hash.ts';
import type { FaultCode } from '../verify/fault.ts';
import { checkPayload } from '../verify/payload-check.ts';
import { leafHash, verifyInclusion } from './merkle.ts';
import { checkActor } from './receipt-actor.ts';
import { type EntryProof, newestOf, type Receipt, receiptSchema } from './receipt-format.ts';
import { receiptStatement } from './receipt-statement.ts';
import type { SignedHead } from './signed-head.ts';
import { fingerprintFrom, type SignatureVerdict, type TrustedKeys } from './trusted-keys.ts';

export type ReceiptFaultCode = Exclude<FaultCode, 'TRUNCATED'>;

export interface ReceiptFault {
  /** Null when the fault is not in an entry. */
  readonly chain: string | null;
  readonly seq: number;
  readonly code: ReceiptFaultCode;
  readonly message: string;
}

export interface ProvedEntry {
  readonly chain: string;
  readonly seq: number;
  readonly n: number | null;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  readonly event: string;
  /** The state of the actor after it; null when the entry is not a transition. */
  readonly state: string | null;
  readonly ok: boolean;
}

export interface ReceiptReport {
  readonly ok: boolean;
  readonly actor: string | null;
  /** The fingerprint of the key that signed it; null when that is not a trusted one. */
  readonly key: string | null;
  readonly issued_at: number | null;
  /** Whether the witness signed that these are all entries of the actor up to the heads. */
  readonly complete: boolean;
  readonly entries: readonly ProvedEntry[];
  readonly checkpoints: readonly Omit<SignedHead, 'signature'>[];
  readonly errors: readonly ReceiptFault[];
}

/** Verifies a receipt that was read from JSON; never throws for what it holds. */
export function verifyReceipt(value: unknown, trusted: TrustedKeys): ReceiptReport {
  const { data, error } = receiptSchema.safeParse(value);
  if (data) return new ReceiptCheck(data, trusted).report();
  const errors = error.issues.map(({ path, message }) => fault('FIELD_TYPE', `${path.join('.') || 'it'}: ${message}`));
  return { ok: false, actor: null, key: null, issued_at: null, complete: false, entries: [], checkpoints: [], errors };
}

function fault(code: ReceiptFaultCode, message: string, entry?: { chain: string; seq: number }): ReceiptFault {
  return { chain: entry?.chain ?? null, seq: entry?.seq ?? 0, code, message };
}

class ReceiptCheck {
  readonly #receipt: Receipt;
  readonly #trusted: TrustedKeys;
  readonly #hasher = new RowHasher();
  readonly #errors: ReceiptFault[] = [];
  readonly #key: string;
  readonly #heads: ReadonlyMap<string, SignedHead>;

  constructor(receipt: Receipt, trusted: TrustedKeys) {
    this.#receipt = receipt;
    this.#trusted = trusted;
    this.#key = fingerprintFrom(receipt.public_key) ?? '';
    this.#heads = new Map(receipt.checkpoints.map((head) => [head.chain, head]));
  }

  report(): ReceiptReport {
    const { actor, issued_at, entries, checkpoints, signature } = this.#receipt;
    const isSigned = this.#checkSignatures();
    this.#checkHeads();
    const proved = entries.map((entry, at) => this.#checkEntry(entry, this.#receipt.proofs[at]));
    if (this.#receipt.proofs.length > entries.length)
      this.#note('CHECKPOINT_MISMATCH', `there are ${this.#receipt.proofs.length} proofs of ${entries.length} entries`);
    this.#checkOrder();
    checkActor(actor, entries, (code, message, entry) => this.#note(code, message, entry));
    return {
      ok: this.#errors.length === 0,
      actor,
      key: isSigned ? this.#key : null,
      issued_at,
      complete: isSigned && signature !== null,
      entries: proved,
      checkpoints: checkpoints.map(({ signature: _, ...head }) => head),
      errors: this.#errors,
    };
  }

  /** Whether all that is signed was signed by one trusted key. */
  #checkSignatures(): boolean {
    const { checkpoints, signature } = this.#receipt;
    const before = this.#errors.length;
    for (const head of checkpoints) {
      const what = `the head of ${head.chain} at ${head.seq}`;
      this.#checkVerdict(this.#trusted.verify(head), head.key, what);
      if (head.key !== this.#key) this.#note('SIGNATURE_INVALID', `${what} names another key than the receipt`);
    }
    if (signature !== null) {
      const text = receiptStatement(this.#receipt, this.#key);
      this.#checkVerdict(this.#trusted.verifyText(this.#key, text, signature), this.#key, 'the receipt');
    }
    return this.#errors.length === before;
  }

  #checkVerdict(verdict: SignatureVerdict, key: string, what: string): void {
    if (verdict === 'unknown key')
      this.#note('SIGNATURE_INVALID', `${what} is signed by the key ${key || '(none)'}, which is not trusted`);
    else if (verdict === 'bad signature') this.#note('SIGNATURE_INVALID', `${what} is not what the key ${key} signed`);
  }

  #checkHeads(): void {
    const { checkpoints, entries, issued_at } = this.#receipt;
    if (this.#heads.size !== checkpoints.length)
      this.#note('CHECKPOINT_MISMATCH', 'there are several heads of one chain');
    const chains = new Set(entries.map(({ chain }) => chain));
    for (const chain of this.#heads.keys())
      if (!chains.has(chain)) this.#note('CHECKPOINT_MISMATCH', `there is a head of ${chain}, but no entry of it`);
    const newest = newestOf(checkpoints);
    if (issued_at !== newest)
      this.#note('CHECKPOINT_MISMATCH', `the receipt says that it is of ${issued_at}, its newest head is of ${newest}`);
  }

  #checkEntry(entry: Entry, proof: EntryProof | undefined): ProvedEntry {
    const before = this.#errors.length;
    const row = storedValues(entry);
    const computed = this.#hasher.hash(row);
    if (computed === entry.content_hash) {
      checkPayload(parseChain(entry.chain), [...row, computed], entry.seq, (_, message) =>
        this.#note('FIELD_TYPE', message, entry),
      );
    } else {
      this.#note(
        'HASH_MISMATCH',
        `entry ${entry.seq} was changed: its content_hash is ${entry.content_hash}, its fields give ${computed}`,
        entry,
      );
    }
    this.#checkProof(entry, proof);
    const { chain, seq, n, timestamp, event } = entry;
    const ok = this.#errors.length === before;
    return { chain, seq, n, timestamp, event, state: ok ? stateOf(entry) : null, ok };
  }

  #checkProof(entry: Entry, proof: EntryProof | undefined): void {
    const { chain, seq, content_hash } = entry;
    const head = this.#heads.get(chain);
    if (!proof || proof.chain !== chain || proof.seq !== seq) {
      this.#note('CHECKPOINT_MISMATCH', `entry ${seq} has no proof in its place`, entry);
    } else if (!head) {
      this.#note('CHECKPOINT_MISMATCH', `there is no head of the chain of entry ${seq}`, entry);
    } else if (
      seq > head.seq ||
      proof.index >= seq ||
      !verifyInclusion({ ...proof, leaf: leafHash(content_hash), size: head.entries, root: head.root })
    ) {
      this.#note('CHECKPOINT_MISMATCH', `entry ${seq} is not at place ${proof.index} under the signed head`, entry);
    } else if (proof.index === head.entries - 1 && content_hash !== head.head_hash) {
      this.#note('CHECKPOINT_MISMATCH', `entry ${seq} is the last one, but not the one of the signed head`, entry);
    }
  }

  /** Entries are in order of epoch, number and place. */
  #checkOrder(): void {
    const { entries, proofs } = this.#receipt;
    for (let at = 1; at < entries.length; at++) {
      const [before, entry] = [entries[at - 1] as Entry, entries[at] as Entry];
      if (before.chain === entry.chain && before.seq === entry.seq) {
        this.#note('SEQ_DUPLICATE', `entry ${entry.seq} is there more than once`, entry);
      } else if (!follows(before, entry)) {
        this.#note('CHAIN_BROKEN', `entry ${entry.seq} does not come after entry ${before.seq}`, entry);
      } else if (before.chain === entry.chain && (proofs[at - 1]?.index ?? 0) >= (proofs[at]?.index ?? 0)) {
        this.#note('CHAIN_BROKEN', `entry ${entry.seq} lies before entry ${before.seq} in the chain`, entry);
      }
    }
  }

  #note(code: ReceiptFaultCode, message: string, entry?: Entry): void {
    this.#errors.push(fault(code, message, entry));
  }
}

function follows(before: Entry, entry: Entry): boolean {
  if (before.chain === entry.chain) return entry.seq > before.seq;
  const [from, to] = [parseChain(before.chain), parseChain(entry.chain)];
  return from !== undefined && from.label === to?.label && to.epoch > from.epoch;
}

function stateOf(entry: Entry): string | null {
  if (entry.kind === null) return null;
  try {
    const { snapshot } = JSON.parse(entry.payload) as { snapshot?: { value?: never } };
    return snapshot?.value === undefined ? null : stateName(snapshot.value);
  } catch {
    return null;
  }
}
