/**
 * The witness at a million entries, each rate beside its floor in the same run: ingest beside the bare SQLite insert of the
 * same rows, verification beside the bare SHA-256 of the same bytes; then queries, what a restore reads, and receipts.
 *
 *     node dist/bench/witness.js [N] [--json]     N entries, 1,000,000 when it is left out
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measureIngest } from './witness-ingest.ts';
import { measureQueries } from './witness-query.ts';
import { measureReceipts, measureRestoreRead } from './witness-recovery.ts';

interface VerifyFigures {
  readonly verify_per_s: number;
  readonly bare_sha256_per_s: number;
  readonly ratio: number;
  readonly peak_rss_mb: number;
}

const { values, positionals } = parseArgs({
  options: { json: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const entries = Number(positionals[0] ?? 1_000_000);
if (!Number.isSafeInteger(entries) || entries < 4_000) {
  process.stderr.write(`the number of entries is ${positionals[0]}; give a whole number from 4,000\n`);
  process.exit(2);
}

/** In a process of its own, so that its memory is its own too. */
function measureVerify(path: string): VerifyFigures {
  const program = fileURLToPath(import.meta.url).replace(/witness(\.[jt]s)$/, 'verify$1');
  const args = [...process.execArgv, program, '--entries', String(entries), '--keep', path, '--json'];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as VerifyFigures;
}

const folder = mkdtempSync(join(tmpdir(), 'witness-bench-'));
const path = join(folder, 'witness.db');
const say = (line: string) => {
  if (!values.json) process.stdout.write(`${line}\n`);
};
const count = (number: number) => number.toLocaleString('en');
try {
  const machine = `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}, Node ${process.version}`;
  const date = new Date().toISOString().slice(0, 10);
  say(`witness at ${count(entries)} entries, ${date}, ${machine}`);

  const ingest = measureIngest(path, folder, entries);
  rmSync(join(folder, 'bare.db'));
  const bytes = Math.round(statSync(path).size / entries);
  say(
    `ingest: ${count(ingest.ingest_per_s)} entries/s, ${ingest.ratio} of the bare insert (${count(ingest.bare_insert_per_s)}/s); in the last tenth ${count(ingest.last_tenth.ingest_per_s)}/s, ${ingest.last_tenth.ratio}; ${bytes} bytes of file per entry`,
  );
  const verify = measureVerify(path);
  say(
    `verify: ${count(verify.verify_per_s)} entries/s, ${verify.ratio} of bare SHA-256 (${count(verify.bare_sha256_per_s)}/s); peak memory ${verify.peak_rss_mb} MB`,
  );
  const query = measureQueries(path, entries);
  const worst = query.reduce((a, b) => (b.p99_ms > a.p99_ms ? b : a));
  say(`query: p99 of a page of 100 at most ${worst.p99_ms} ms (${worst.filter})`);
  if (!values.json) console.table(query);
  const restore = measureRestoreRead(path, entries);
  say(
    `restore: the last records of ${count(restore.actors)} actors read in ${restore.ms} ms, ${count(restore.actors_per_s)} actors/s`,
  );
  const receipt = await measureReceipts(path, entries);
  say(
    `receipt: made in ${receipt.make_p50_ms} ms (p99 ${receipt.make_p99_ms}), verified in ${receipt.verify_p50_ms} ms, ${count(receipt.bytes)} bytes for ${receipt.entries} entries; checkpoint ${receipt.checkpoint_ms} ms, the first one ${receipt.first_checkpoint_ms} ms`,
  );
  if (values.json) {
    const report = { machine, date, entries, file_bytes_per_entry: bytes, ingest, verify, query, restore, receipt };
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
