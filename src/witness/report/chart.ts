/** Bar charts as SVG inside the page: no script, no colour that carries meaning alone, every bar with its figure as text. */
import { cut, html, type Markup } from './html.ts';

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** The value as it is written beside the bar. */
  readonly text: string;
}

const width = 720;
const labelWidth = 190;
const textWidth = 110;
const rowHeight = 24;
const barHeight = 16;
/** A value above nothing is never without a bar. */
const leastBar = 1.5;
const labelLength = 28;

/** Horizontal bars from the top down, the longest as wide as there is room. */
export function barChart(title: string, bars: readonly Bar[]): Markup {
  if (bars.length === 0) return html``;
  const most = Math.max(...bars.map(({ value }) => value), 0);
  const room = width - labelWidth - textWidth;
  const height = bars.length * rowHeight;
  const rows = bars.map(({ label, value, text }, index) => {
    const length = value > 0 ? Math.max(leastBar, (value / most) * room) : 0;
    const middle = index * rowHeight + rowHeight / 2;
    return html`<g><title>${label}: ${text}</title><text class="label" x="${labelWidth - 8}" y="${middle}">${cut(label, labelLength)}</text><rect class="bar" x="${labelWidth}" y="${middle - barHeight / 2}" width="${length.toFixed(1)}" height="${barHeight}" rx="2"/><text class="figure" x="${(labelWidth + length + 6).toFixed(1)}" y="${middle}">${text}</text></g>`;
  });
  return html`<figure><figcaption>${title}</figcaption><svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${title}">${rows}</svg></figure>`;
}
