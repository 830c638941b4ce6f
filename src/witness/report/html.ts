/**
 * HTML that is safe by construction: whatever is put into the template is escaped, unless it is markup that was made by
 * the template itself. What agents wrote is shown, never obeyed, and never hidden: control characters and text that would
 * run the other way are written out.
 */

/** Text that is HTML already. */
export class Markup {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

export type Insert = Markup | Usd | string | number | null | undefined | readonly Insert[];

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
};
/** Controls, format characters but the joiners that scripts need, line separators, half surrogates. */
const invisible = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** Text for the content of an element or a quoted attribute. */
export function escapeText(text: string): string {
  return text
    .replace(invisible, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`)
    .replace(/[&<>"'`]/g, (char) => entities[char] ?? char);
}

/** Markup of a template; what is inserted is escaped, lists are joined, null and undefined are nothing. */
export function html(parts: TemplateStringsArray, ...inserts: readonly Insert[]): Markup {
  return new Markup(parts.map((part, index) => part + textOf(inserts[index])).join(''));
}

function textOf(insert: Insert): string {
  if (insert === null || insert === undefined) return '';
  if (insert instanceof Markup) return insert.toString();
  if (typeof insert === 'string' || typeof insert === 'number' || insert instanceof Usd)
    return escapeText(String(insert));
  return insert.map(textOf).join('');
}

/** A table; without rows, what is said instead. Numbers and amounts stand to the right, their titles too. */
export function tableOf(
  titles: readonly string[],
  rows: readonly (readonly Insert[])[],
  empty: string,
  name = 'list',
): Markup {
  if (rows.length === 0) return html`<p class="empty">${empty}</p>`;
  const right = titles.map((_, column) => rows.some((cells) => isFigure(cells[column])));
  const head = titles.map((title, column) => html`<th scope="col"${right[column] ? figure : null}>${title}</th>`);
  return html`<table class="${name}"><thead><tr>${head}</tr></thead><tbody>${rows.map(
    (cells) => html`<tr>${cells.map((cell, column) => cellOf(cell, right[column] ?? false))}</tr>\n`,
  )}</tbody></table>`;
}

/** An amount of US dollars. */
export class Usd {
  readonly amount: number;

  constructor(amount: number) {
    this.amount = amount;
  }

  toString(): string {
    return `$${this.amount.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 6 })}`;
  }
}

const figure = html` class="figure"`;

function isFigure(cell: Insert): boolean {
  return typeof cell === 'number' || cell instanceof Usd;
}

function cellOf(cell: Insert, right: boolean): Markup {
  const side = right ? figure : null;
  if (typeof cell === 'number') return html`<td${side}>${countText(cell)}</td>`;
  if (cell === null || cell === undefined || cell === '') return html`<td${side}>–</td>`;
  return html`<td${side}>${cell}</td>`;
}

/** A number with separators between thousands. */
export function countText(count: number): string {
  return count.toLocaleString('en-US');
}

/** Milliseconds since 1970 as `2026-01-31 12:00:00.000`, in UTC. */
export function timeText(ms: number | null): string {
  const time = new Date(ms ?? Number.NaN);
  return Number.isNaN(time.getTime()) ? '–' : time.toISOString().replace('T', ' ').slice(0, -1);
}

/** The beginning of a text, an ellipsis for the rest. */
export function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1).replace(/\p{Surrogate}$/u, '')}…`;
}
