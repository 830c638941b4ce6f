/** A judgement in lines for people. */
import type { Judgement } from './judge.ts';

/** Findings that are shown. */
const most = 20;

export function report({ findings, counts, recoveries }: Judgement): string {
  const ms = (value: number) => (Number.isFinite(value) ? `${value.toFixed(0)} ms` : 'never').padStart(9);
  const lines = [
    '',
    'from a fault to the next commit        times       p50       max',
    ...recoveries.byKind.map(
      ({ kind, count, p50, max }) => `  ${kind.padEnd(32)} ${String(count).padStart(9)} ${ms(p50)} ${ms(max)}`,
    ),
    `longest time between two commits ${ms(recoveries.longestPause)}`,
    '',
    ...Object.entries(counts).map(([what, count]) => `${String(count).padStart(8)} ${what}`),
    '',
    ...findings.slice(0, most).map((finding) => `WRONG: ${finding}`),
    ...(findings.length > most ? [`WRONG: and ${findings.length - most} more`] : []),
    findings.length === 0 ? 'nothing is wrong' : `${findings.length} findings`,
  ];
  return `${lines.join('\n')}\n`;
}
