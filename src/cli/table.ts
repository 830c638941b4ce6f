/** Tables, durations, times and money as text for people. Pure: what it says depends on the arguments alone. */
import { styleText } from 'node:util';
import { displayWidth, escapeControls, truncate } from './terminal-text.ts';

export type Cell = string | number | bigint | boolean | null | undefined;

export interface Column<Key extends string = string> {
  readonly key: Key;
  /** Default: the key. */
  readonly title?: string;
  /** Default: right when all cells are numbers. */
  readonly align?: 'left' | 'right';
}

export interface TableOptions {
  /** Columns of the terminal; rows are cut to fit. Without it nothing is cut. */
  readonly width?: number | undefined;
  /** Whether the titles are bold. */
  readonly color?: boolean;
  /** What is said instead of a table without rows. */
  readonly empty?: string;
}

const gap = '  ';
/** A column is not made narrower than this to fit a terminal. */
const minWidth = 6;

/** Aligned columns without borders, titles first, no line break at the end. Cells are escaped: one row is one line. */
export function renderTable<Key extends string>(
  columns: readonly Column<Key>[],
  rows: readonly Readonly<Partial<Record<Key, Cell>>>[],
  { width, color = false, empty = 'nothing to show' }: TableOptions = {},
): string {
  if (rows.length === 0) return empty;
  const titles = columns.map(({ key, title }) => escapeControls(title ?? key).toUpperCase());
  const body = rows.map((row) => columns.map(({ key }) => cellText(row[key])));
  const natural = titles.map((title, index) =>
    body.reduce((widest, cells) => Math.max(widest, displayWidth(cells[index] ?? '')), displayWidth(title)),
  );
  const widths = narrow(natural, width);
  const right = columns.map(({ key, align }) => (align ? align === 'right' : allNumbers(rows.map((row) => row[key]))));
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, index) => pad(truncate(cell, widths[index]!), widths[index]!, right[index]!));
    const text = padded.join(gap).trimEnd();
    return width === undefined ? text : truncate(text, width);
  };
  const head = line(titles);
  return [color ? styleText('bold', head, { validateStream: false }) : head, ...body.map(line)].join('\n');
}

function cellText(cell: Cell): string {
  return cell === undefined || cell === null || cell === '' ? '-' : escapeControls(String(cell));
}

function allNumbers(cells: readonly Cell[]): boolean {
  const present = cells.filter((cell) => cell !== undefined && cell !== null);
  return present.length > 0 && present.every((cell) => typeof cell === 'number' || typeof cell === 'bigint');
}

function pad(text: string, width: number, right: boolean): string {
  const space = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return right ? space + text : text + space;
}

/** Takes columns of the terminal from the widest column until the table fits, or none can be made narrower. */
function narrow(natural: readonly number[], width: number | undefined): number[] {
  const widths = [...natural];
  if (width === undefined) return widths;
  let excess = widths.reduce((sum, one) => sum + one, 0) + gap.length * (widths.length - 1) - width;
  while (excess > 0) {
    const widest = Math.max(...widths);
    if (widest <= minWidth) break;
    const below = Math.max(minWidth, ...widths.filter((one) => one < widest));
    const all = widths.flatMap((one, index) => (one === widest ? [index] : []));
    for (const index of all) {
      const cut = Math.min(excess, Math.max(1, Math.min(widest - below, Math.ceil(excess / all.length))));
      widths[index] = widest - cut;
      excess -= cut;
    }
  }
  return widths;
}

const units = [
  { name: 'd', ms: 86_400_000 },
  { name: 'h', ms: 3_600_000 },
  { name: 'm', ms: 60_000 },
  { name: 's', ms: 1_000 },
] as const;

/** Milliseconds in words: `850 ms`, `1.5 s`, `2 m 05 s`, `3 h 00 m`, `2 d 01 h`; cut, not rounded up. `-` when it is no number. */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return '-';
  if (ms < 0) return `-${formatDuration(-ms)}`;
  if (ms < 1_000) return `${ms < 10 ? Math.floor(ms * 100) / 100 : Math.floor(ms)} ms`;
  if (ms < 60_000) return `${Math.floor(ms / 100) / 10} s`;
  const index = units.findIndex((unit) => ms >= unit.ms);
  const [unit, smaller] = [units[index]!, units[index + 1]!];
  return `${Math.floor(ms / unit.ms)} ${unit.name} ${String(Math.floor((ms % unit.ms) / smaller.ms)).padStart(2, '0')} ${smaller.name}`;
}

/** Milliseconds since 1970 as `2026-01-02 03:04:05Z` (UTC); `-` when it is no time. */
export function formatTime(ms: number | null | undefined): string {
  const time = new Date(ms ?? Number.NaN);
  return Number.isNaN(time.getTime())
    ? '-'
    : time
        .toISOString()
        .replace('T', ' ')
        .replace(/\.\d+Z$/, 'Z');
}

/** US dollars with two to six decimals: `$1.50`, `-$0.000123`; `-` when it is no amount. */
export function formatUsd(usd: number | null | undefined): string {
  if (usd === undefined || usd === null || !Number.isFinite(usd)) return '-';
  const text = new Intl.NumberFormat('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 6 }).format(
    Math.abs(usd),
  );
  return `${usd < 0 && /[1-9]/.test(text) ? '-' : ''}$${text}`;
}
