/** Checkpoints, receipts and what verifying them found, for people. */
import type { Checkpoint } from '../witness/proofs/checkpoint.ts';
import type { CheckpointsReport } from '../witness/proofs/checkpoint-check.ts';
import type { ReceiptReport } from '../witness/proofs/receipt.ts';
import type { Output } from './output.ts';
import { formatTime } from './table.ts';

export function showHeads(out: Output, heads: CheckpointsReport['chains'] | Checkpoint['chains']): void {
  const columns = ['chain', 'entries', 'seq', 'head', 'root', 'issued'] as const;
  const rows = heads.map(({ chain, entries, seq, head_hash, root, issued_at }) => {
    return { chain, entries, seq, head: head_hash, root, issued: formatTime(issued_at) };
  });
  out.table(
    columns.map((key) => ({ key })),
    rows,
    'no chain has an entry',
  );
}

export function showReceipt(out: Output, report: ReceiptReport): void {
  const columns = ['entry', 'n', 'time', 'event', 'state', 'ok'] as const;
  const rows = report.entries.map(({ chain, seq, n, timestamp, event, state, ok }) => {
    return { entry: `${chain}/${seq}`, n, time: formatTime(timestamp), event, state, ok };
  });
  if (report.actor !== null) out.line(`actor   ${report.actor}`);
  if (report.issued_at !== null) out.line(`issued  ${formatTime(report.issued_at)}`);
  for (const head of report.checkpoints)
    out.line(`head    ${head.chain} at ${head.seq}, ${head.entries} entries, root ${head.root}`);
  if (rows.length === 0) return;
  out.line('');
  out.table(
    columns.map((key) => ({ key })),
    rows,
  );
}

/** What the receipt says about what is not in it. */
export function scopeOf({ actor, complete, entries }: ReceiptReport): string {
  if (actor === null) return 'one entry';
  const from = entries.find(({ n }) => n !== null)?.n ?? 1;
  const begins = from === 1 ? '' : `, from transition ${from} on`;
  if (complete) return `all that the witness had of ${actor} at that time${begins}`;
  return `${entries.length} entries of ${actor}${begins}; the receipt does not say that there were no more`;
}
