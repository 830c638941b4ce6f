/**
 * Verification of a large witness database beside the bare SHA-256 of the same bytes, and the memory that it takes. The
 * floor hashes the encoded rows, one call each, in one process, with nothing read and nothing checked.
 *
 *     node dist/bench/verify.js [--entries N] [--rounds N] [--keep FILE] [--json]
 *
 * `--keep FILE` leaves the database there, and goes on with the one that is there already.
 */
import { hash } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Sqlite from 'better-sqlite3';
import { columnNames, hashedColumns, type Stored } from '../src/witness/columns.ts';
import { WitnessDatabase } from '../src/witness/database.ts';
import { RowHasher } from '../src/witness/hash.ts';
import { verifyDatabase } from '../src/witness/verify/verify.ts';
import { rounded } from './measure.ts';
import { chain, messagesFrom } from './witness-messages.ts';

const { values } = parseArgs({
  options: {
    entries: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '3' },
    keep: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const entries = Number(values.entries);
const rounds = Number(values.rounds);
const batch = 10_000;
/** Rows of which the floor is measured: their bytes are held in memory. */
const sample = Math.min(entries, 100_000);

const tell = (line: string) => process.stderr.write(`${line}\n`);

function fill(path: string): void {
  const witness = WitnessDatabase.open(path);
  try {
    for (let first = (witness.head(chain)?.last_seq ?? 0) + 1; first <= entries; first += batch) {
      witness.appendBatch(chain, messagesFrom(first, Math.min(batch, entries - first + 1)), () => 'lost');
      if ((first - 1) % 200_000 === 0) tell(`${first - 1} entries written`);
    }
  } finally {
    witness.close();
  }
}

/** The encoded bytes of rows that are spread over the whole table. */
function encodedRows(path: string): Uint8Array[] {
  const sqlite = new Sqlite(path, { readonly: true });
  try {
    const hasher = new RowHasher();
    const rows = sqlite
      .prepare<[number], Stored[]>(`SELECT ${columnNames} FROM entries WHERE rowid % ? = 0`)
      .raw()
      .safeIntegers();
    const encoded: Uint8Array[] = [];
    for (const row of rows.iterate(Math.max(1, Math.floor(entries / sample))))
      encoded.push(Buffer.from(hasher.encode(row, hashedColumns)));
    return encoded;
  } finally {
    sqlite.close();
  }
}

/** Rows per second. */
function bareRate(rows: readonly Uint8Array[]): number {
  const start = performance.now();
  for (const row of rows) hash('sha256', row, 'hex');
  return (rows.length / (performance.now() - start)) * 1_000;
}

function verifyRate(path: string): number {
  const start = performance.now();
  const result = verifyDatabase(path);
  const rate = (entries / (performance.now() - start)) * 1_000;
  if (!result.ok || result.chains[0]?.entries !== entries) throw new Error(JSON.stringify(result).slice(0, 2_000));
  return rate;
}

const folder = mkdtempSync(join(tmpdir(), 'verify-bench-'));
try {
  const path = values.keep ?? join(folder, 'witness.db');
  fill(path);
  const rows = encodedRows(path);
  const bytes = rows.reduce((sum, row) => sum + row.length, 0) / rows.length;
  const figures = [];
  for (let round = 0; round < rounds; round++) {
    const bare = bareRate(rows);
    const before = process.memoryUsage.rss();
    const verified = verifyRate(path);
    const grown = (process.memoryUsage.rss() - before) / 2 ** 20;
    figures.push({ bare, verified, ratio: verified / bare, grown });
    tell(
      `verify ${Math.round(verified)} entries/s, bare SHA-256 ${Math.round(bare)}/s, ratio ${rounded(verified / bare)}`,
    );
  }
  const best = figures.reduce((a, b) => (b.ratio > a.ratio ? b : a));
  const report = {
    entries,
    bytes_per_entry: Math.round(bytes),
    file_mb: Math.round(statSync(path).size / 2 ** 20),
    verify_per_s: Math.round(best.verified),
    bare_sha256_per_s: Math.round(best.bare),
    ratio: rounded(best.ratio),
    peak_rss_mb: Math.round(process.resourceUsage().maxRSS / 1_024),
    rss_grown_mb: Math.round(Math.max(...figures.map((figure) => figure.grown))),
    machine: `${cpus()[0]?.model.trim()}, ${cpus().length} cores`,
  };
  if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else
    process.stdout.write(
      `verify: ${report.verify_per_s} entries/s at ${entries} entries of ${report.bytes_per_entry} bytes, ` +
        `${report.ratio} of bare SHA-256 (${report.bare_sha256_per_s}/s); peak memory ${report.peak_rss_mb} MB\n`,
    );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
