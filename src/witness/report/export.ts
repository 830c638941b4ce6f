/**
 * The history as text for other programs: JSON lines, or CSV for spreadsheets. Entries come in order of time, one by one
 * out of one reading of the database, so that memory stays flat and the export is of one moment.
 */
import type Sqlite from 'better-sqlite3';
import { stringify } from 'csv-stringify/sync';
import { FabricError } from '../../errors.ts';
import { columns } from '../columns.ts';
import type { Entry } from '../entry.ts';
import { planQuery } from '../query/query.ts';
import type { Selection } from './selection.ts';

/** What an export held, complete when its last chunk was taken. */
export interface ExportTally {
  entries: number;
  /** Entries whose payload is not JSON, which only happens in a damaged or altered database. */
  damaged: number;
}

export type ExportFormat = 'json' | 'csv';

/** Entries per chunk of text. */
const chunkEntries = 250;
/** NULL is an empty field, an empty text a quoted one; a text with a line break of any kind is quoted. */
const csvRule = {
  record_delimiter: 'windows',
  quote_record_delimiter: true,
  escape_formulas: true,
  quoted_match: /^$/,
} as const;
const names = columns.map(({ name }) => name);

/**
 * The text in chunks. `json`: a line per entry as a query answers it, a payload that is not JSON as text. `csv`: RFC 4180
 * with a line of column names; a text that a spreadsheet would take for a formula begins with an apostrophe.
 * @throws FabricError INVALID_REQUEST for a time that is not one; UNAVAILABLE when the database cannot be read
 */
export function* exportText(
  sqlite: Sqlite.Database,
  format: ExportFormat,
  selection: Selection,
  tally: ExportTally,
): Generator<string> {
  const write = format === 'csv' ? csvLines : (entries: readonly Entry[]) => jsonLines(entries, tally);
  if (format === 'csv') yield csvText([[...names]]);
  let waiting: Entry[] = [];
  for (const entry of entriesOf(sqlite, selection)) {
    tally.entries += 1;
    waiting.push(entry);
    if (waiting.length < chunkEntries) continue;
    yield write(waiting);
    waiting = [];
  }
  if (waiting.length > 0) yield write(waiting);
}

/** All entries that match, in order of time. */
export function* entriesOf(
  sqlite: Sqlite.Database,
  selection: Selection,
  order: 'asc' | 'desc' = 'asc',
  limit = -1,
): Generator<Entry> {
  try {
    const { sql, values } = planQuery(sqlite, { ...selection, order });
    yield* sqlite.prepare<unknown[], Entry>(sql).iterate(...values, limit);
  } catch (error) {
    if (error instanceof FabricError) throw error;
    throw new FabricError(
      'UNAVAILABLE',
      `the witness database cannot be read: ${String(error)}; \`infrafabric witness verify\` says more`,
      undefined,
      { cause: error },
    );
  }
}

function jsonLines(entries: readonly Entry[], tally: ExportTally): string {
  let lines = '';
  for (const { payload, prev_hash, content_hash, tokens_in, tokens_out, cost_usd, model, ...before } of entries) {
    const head = JSON.stringify(before);
    const tail = JSON.stringify({ tokens_in, tokens_out, cost_usd, model, prev_hash, content_hash });
    // The payload is JSON already, in the form in which it was hashed.
    lines += `${head.slice(0, -1)},"payload":${jsonOf(payload, tally)},${tail.slice(1)}\n`;
  }
  return lines;
}

function jsonOf(payload: string, tally: ExportTally): string {
  try {
    JSON.parse(payload);
    // White space between the tokens of an altered payload must not end the line.
    return payload.replace(/[\n\r]/g, ' ');
  } catch {
    tally.damaged += 1;
    return JSON.stringify(payload);
  }
}

function csvLines(entries: readonly Entry[]): string {
  return csvText(entries.map((entry) => names.map((name) => entry[name])));
}

function csvText(rows: (string | number | null)[][]): string {
  return stringify(rows, csvRule);
}
