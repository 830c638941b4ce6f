/** The style of the report, on a screen and on paper, and the policy that lets a browser apply it and nothing else. */
import { createHash } from 'node:crypto';

export const reportStyle = `
:root { color-scheme: light; --ink: #1b1f24; --soft: #5a6472; --line: #d8dee6; --fill: #f4f6f9; --bar: #2f6fb3;
  --good: #17663a; --good-fill: #e3f4ea; --bad: #9b1c1c; --bad-fill: #fdeaea; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 32px 24px 64px; color: var(--ink); background: #fff;
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 36px 0 10px; padding-top: 12px; border-top: 1px solid var(--line); }
p { margin: 8px 0; }
.sub, .empty, .note, .detail { color: var(--soft); }
.detail { display: block; font-size: 12px; overflow-wrap: anywhere; }
.verdict { display: block; margin: 18px 0; padding: 12px 16px; border-left: 5px solid; border-radius: 4px; font-weight: 600; }
.verdict .detail { font-weight: 400; color: inherit; font-size: 13px; }
.good { color: var(--good); background: var(--good-fill); }
.bad { color: var(--bad); background: var(--bad-fill); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; margin: 12px 0; padding: 0; }
.tiles div { background: var(--fill); border-radius: 6px; padding: 10px 14px; }
.tiles dt { color: var(--soft); font-size: 12px; }
.tiles dd { margin: 0; font-size: 20px; font-weight: 600; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 12px 0; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin: 10px 0; font-size: 13px; }
th, td { text-align: left; vertical-align: top; padding: 4px 10px 4px 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-size: 12px; color: var(--soft); font-weight: 600; overflow-wrap: normal; }
td.figure, th.figure { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
table.timeline { table-layout: fixed; }
.timeline th:nth-child(1) { width: 13%; } .timeline th:nth-child(2) { width: 17%; } .timeline th:nth-child(3) { width: 31%; }
.timeline th:nth-child(4) { width: 12%; } .timeline th:nth-child(5) { width: 10%; } .timeline th:nth-child(6) { width: 6%; }
.timeline time { white-space: normal; }
time { font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: 12px/1.4 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
figure { margin: 14px 0; }
figcaption { font-weight: 600; margin-bottom: 6px; }
svg { max-width: 100%; height: auto; }
svg text { font-size: 12px; dominant-baseline: central; fill: var(--ink); }
svg .label { text-anchor: end; }
svg .bar { fill: var(--bar); }
@media print {
  @page { size: A4; margin: 14mm 12mm 16mm; }
  body { max-width: none; padding: 0; font-size: 9.5pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  h1 { font-size: 18pt; } h2 { font-size: 13pt; break-after: avoid; }
  table { font-size: 8pt; } th, .detail { font-size: 7.5pt; } code { font-size: 7.5pt; }
  thead { display: table-header-group; } tr, figure, .verdict, .tiles div { break-inside: avoid; }
  time { white-space: normal; }
}
`;

/** The content of the page's Content-Security-Policy: this style, and nothing from anywhere, least of all scripts. */
export function contentPolicy(): string {
  const hash = createHash('sha256').update(reportStyle).digest('base64');
  return `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
}
