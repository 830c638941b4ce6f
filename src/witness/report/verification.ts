/** What the report says about its own ground: whether the history verified, with which key, and what was not checked. */
import type { ChainReport } from '../verify/chain-check.ts';
import type { Verification } from '../verify/verify.ts';
import { html, type Insert, type Markup, tableOf, timeText } from './html.ts';

/** What signatures were checked with. */
export interface ReportTrust {
  /** Fingerprints of the public keys that were trusted; none: no signature was checked. */
  readonly fingerprints: readonly string[];
  /** How many checkpoints the history was held against. */
  readonly checkpoints: number;
  /** When the newest of them was signed, milliseconds since 1970. */
  readonly newest_at: number | null;
}

const faultRows = 200;

/** The answer in a line, with what it rests on. */
export function verdict({ ok, chains }: Verification, trust: ReportTrust): Markup {
  const faults = chains.reduce((sum, { errors }) => sum + errors.length, 0);
  const answer = ok ? 'Verified: the history is whole and unaltered.' : `Verification failed: ${faults} faults.`;
  return html`<p class="verdict ${ok ? 'good' : 'bad'}" role="status">${answer}<span class="detail">${groundOf(trust)}</span></p>\n`;
}

function groundOf({ fingerprints, checkpoints, newest_at }: ReportTrust): string {
  if (fingerprints.length === 0 || checkpoints === 0) {
    return 'Checked against its own hashes only. Without a signed checkpoint that was kept elsewhere, a cut end or a replaced history does not show.';
  }
  const of = checkpoints === 1 ? 'a signed checkpoint' : `${checkpoints} signed checkpoints`;
  return `Held against ${of}, the newest of ${timeText(newest_at)}.`;
}

export function verificationSection({ chains }: Verification, { fingerprints }: ReportTrust): Markup {
  const faults = chains.flatMap(({ chain, errors }) => errors.map((fault) => ({ chain, ...fault })));
  const keys =
    fingerprints.length === 0 ? html`none` : fingerprints.map((fingerprint) => html`<code>${fingerprint}</code> `);
  return html`<section><h2>Verification</h2>
<dl class="facts"><dt>Trusted key</dt><dd>${keys}</dd></dl>
${tableOf(['Chain', 'Entries', 'First', 'Last', 'Gaps', 'Faults', 'Head'], chains.map(chainRow), 'The history has no entries.')}
${faults.length === 0 ? null : html`<h2>Faults</h2>`}
${faults.length === 0 ? null : tableOf(['Chain', 'Number', 'Code', 'What is wrong'], faults.slice(0, faultRows).map(faultRow), '')}
${faults.length <= faultRows ? null : html`<p class="note">${faults.length - faultRows} more faults are left out.</p>`}
<p class="note">A number is the place of an entry in its chain. Whoever has the database and the public key can repeat this with <code>infrafabric witness verify --db FILE --key FILE --checkpoint FILE</code>.</p></section>\n`;
}

function chainRow({
  chain,
  entries,
  first_seq,
  last_seq,
  gaps,
  errors,
  head_hash,
  pruned_through,
}: ChainReport): Insert[] {
  const name = pruned_through === null ? chain : `${chain}, pruned up to ${pruned_through}`;
  return [name, entries, first_seq, last_seq, gaps, errors.length, html`<code>${head_hash ?? '–'}</code>`];
}

function faultRow({
  chain,
  seq,
  code,
  message,
}: {
  chain: string;
  seq: number;
  code: string;
  message: string;
}): Insert[] {
  return [chain, seq, code, message];
}
