/** The witness' word for a receipt as a whole: without it, whoever holds the receipt could leave out its last entries. */
import { canonicalJson } from '../../data/canonical.ts';
import type { Receipt } from './receipt-format.ts';

/** The text whose UTF-8 bytes are signed. `key` is the fingerprint of the key. */
export function receiptStatement(receipt: Omit<Receipt, 'signature'>, key: string): string {
  const { actor, issued_at } = receipt;
  const entries = receipt.entries.map((entry) => entry.content_hash);
  const checkpoints = receipt.checkpoints.map((head) => head.signature);
  return `InfraFabric witness receipt\n${canonicalJson({ actor, checkpoints, entries, issued_at, key })}`;
}
