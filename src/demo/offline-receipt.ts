/**
 * The receipt with which a demo ends: the history of one task, signed by the witness, and verified by a process of its own
 * that is given the receipt and the public key and nothing else. Both files stay, so that anyone can do the same.
 */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { packageRoot } from '../package-root.ts';
import { WitnessDatabase } from '../witness/database.ts';
import { checkpointsFile, publicKeysFile } from '../witness/files.ts';
import { issueCheckpoint } from '../witness/proofs/checkpoint.ts';
import { makeReceipt, type ReceiptReport } from '../witness/proofs/receipt.ts';
import { openSigningKey } from '../witness/proofs/signing-key.ts';

export interface OfflineReceipt {
  /** Of the task whose history it is. */
  readonly task_id: string;
  readonly entries: number;
  readonly bytes: number;
  /** The fingerprint of the key of the witness. */
  readonly key: string;
  /** The files, and the command that verified them. */
  readonly receipt_file: string;
  readonly key_file: string;
  readonly command: string;
  /** What that command found. */
  readonly verified: boolean;
  readonly errors: readonly string[];
}

/** @throws FabricError when no receipt can be made; the signal's reason when it aborts */
export async function takeReceipt(
  database: string,
  dataDir: string,
  task_id: string,
  folder: string,
  signal: AbortSignal,
): Promise<OfflineReceipt> {
  const receipt_file = join(folder, 'receipt.json');
  const key_file = join(folder, 'witness.pub');
  const key = await openSigningKey(dataDir);
  const text = JSON.stringify(signedReceipt(database, dataDir, task_id, key), null, 1);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(receipt_file, text, { mode: 0o600 });
  await copyFile(publicKeysFile(dataDir), key_file);
  const args = ['witness', 'verify-receipt', receipt_file, '--key', key_file];
  const report = await verifyElsewhere([...args, '--json'], folder, signal);
  return {
    task_id,
    entries: report.entries.length,
    bytes: (await stat(receipt_file)).size,
    key: key.fingerprint,
    receipt_file,
    key_file,
    command: `node ${[relative(process.cwd(), program()) || program(), ...args].map(quoted).join(' ')}`,
    verified: report.ok && report.actor === `task:${task_id}`,
    errors: report.errors.map(({ code, message }) => `${code}: ${message}`),
  };
}

function signedReceipt(
  path: string,
  dataDir: string,
  task_id: string,
  key: Awaited<ReturnType<typeof openSigningKey>>,
) {
  const database = WitnessDatabase.open(path);
  try {
    const { chains } = issueCheckpoint(database.sqlite, key, Date.now(), checkpointsFile(dataDir));
    return makeReceipt(database.sqlite, { kind: 'task', id: task_id }, chains, key);
  } finally {
    database.close();
  }
}

/** In another process, without the environment that could lead it to a fabric. */
async function verifyElsewhere(args: readonly string[], cwd: string, signal: AbortSignal): Promise<ReceiptReport> {
  return await new Promise((resolve, reject) => {
    const env = { PATH: process.env['PATH'] ?? '' };
    execFile(process.execPath, [program(), ...args], { cwd, env, signal }, (error, stdout, stderr) => {
      if (signal.aborted) return reject(signal.reason);
      try {
        resolve(JSON.parse(stdout) as ReceiptReport);
      } catch {
        reject(error ?? new Error(`the receipt was not verified: ${stderr}`));
      }
    });
  });
}

function program(): string {
  return join(packageRoot(), 'dist', 'src', 'cli', 'main.js');
}

/** As a shell reads it back. */
function quoted(word: string): string {
  return /^[\w./:@=+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
