/**
 * `infrafabric witness checkpoint|verify-checkpoint|receipt|verify-receipt|key`: what the witness signs, and what anyone can
 * verify without it.
 */

import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { systemClock } from '../../clock.ts';
import { checkJsonText } from '../../data/json-text.ts';
import { FabricError } from '../../errors.ts';
import { replaceFile } from '../../identity/key-files.ts';
import { publicKeysFile, signingKeyFile } from '../../witness/files.ts';
import {
  appendCheckpoint,
  type Checkpoint,
  issueCheckpoint,
  readCheckpointFile,
  signHeads,
} from '../../witness/proofs/checkpoint.ts';
import { verifyCheckpoints } from '../../witness/proofs/checkpoint-check.ts';
import { type ReceiptReport, verifyReceipt as verify } from '../../witness/proofs/receipt.ts';
import { openSigningKey, rotateSigningKey, type TrustedKeys, trustedKeysOf } from '../../witness/proofs/signing-key.ts';
import { textOf } from '../option-values.ts';
import { exitCodes } from '../output.ts';
import type { CommandRun } from '../program.ts';
import { escapeJsonControls } from '../terminal-text.ts';
import { type WitnessPlace, withWritable, witnessPlace } from '../witness-place.ts';
import { scopeOf, showHeads, showReceipt } from '../witness-proofs-view.ts';
import { receiptFor, subjectName } from '../witness-receipt.ts';
import { readBytes, reading, requireTrustedKeys } from '../witness-source.ts';

export const checkpoint: CommandRun = async (context, _, options) => {
  const { out } = context;
  const place = await witnessPlace(context, options);
  const file = textOf(options, '--out');
  const issued = place.isOwn ? await signOwn(place, file) : await signCopy(place, file);
  if (issued.chains.length === 0) {
    out.note(`${place.path} has no entries yet, so there is nothing to sign`);
    return exitCodes.no;
  }
  out.data(issued);
  showHeads(out, issued.chains);
  out.line(`signed by ${issued.chains[0]?.key}${file === undefined ? '' : `, added to ${file}`}`);
  return exitCodes.done;
};

async function signOwn(place: WitnessPlace, file: string | undefined): Promise<Checkpoint> {
  const { path, data_dir, checkpoints } = place;
  return await withWritable(path, async (sqlite) => {
    const issued = issueCheckpoint(sqlite, await openSigningKey(data_dir), systemClock.now(), checkpoints);
    const isOther = file !== undefined && resolve(file) !== resolve(checkpoints);
    if (isOther && issued.chains.length > 0) await appendCheckpoint(file, sqlite, issued);
    return issued;
  });
}

/** Another database than the data directory's own is left as it is, and has to go on from what its key has signed. */
async function signCopy({ path, data_dir, checkpoints }: WitnessPlace, file: string | undefined): Promise<Checkpoint> {
  if (!existsSync(signingKeyFile(data_dir)))
    throw new FabricError(
      'INVALID_REQUEST',
      `${data_dir} has no key of a witness to sign with; name the data directory of the witness with --data-dir DIR`,
    );
  return await reading(path, async (sqlite) => {
    const key = await openSigningKey(data_dir);
    const issued = sqlite.transaction(() => signHeads(sqlite, key, systemClock.now(), checkpoints)).deferred();
    if (file !== undefined && issued.chains.length > 0) await appendCheckpoint(file, sqlite, issued);
    return issued;
  });
}

/** Exit code 1 when a signature or the order of the checkpoints is wrong. */
export const verifyCheckpoint: CommandRun = async (context, [file = ''], options) => {
  const { out } = context;
  const trusted = requireTrustedKeys(options, (await context.resolve()).config.data_dir);
  const { checkpoints, cut_line } = readCheckpointFile(readBytes(file));
  const verified = verifyCheckpoints(checkpoints, trusted);
  const cut = cut_line === undefined ? [] : [`line ${cut_line} breaks off and was passed over`];
  const report = { ...verified, notes: [...verified.notes, ...cut] };
  out.data(report);
  showHeads(out, report.chains);
  if (report.errors.length > 0) {
    out.line('');
    const columns = ['checkpoint', 'chain', 'seq', 'code', 'message'] as const;
    out.table(
      columns.map((key) => ({ key })),
      report.errors,
    );
  }
  for (const note of report.notes) out.note(`${file}: ${note}`);
  const signers = report.keys.length > 0 ? report.keys.join(', ') : 'none of the trusted keys';
  out.line(`signed by ${signers}`);
  out.line(`${file}: ${report.ok ? 'verified' : 'verification failed'}, ${report.checkpoints} checkpoints`);
  return report.ok ? exitCodes.done : exitCodes.no;
};

export const receipt: CommandRun = async (context, [actor], options) => {
  const { out } = context;
  const made = await receiptFor(await witnessPlace(context, options), actor, options);
  const file = textOf(options, '--out');
  if (file === undefined) {
    out.data(made);
    out.text(escapeJsonControls(JSON.stringify(made, null, 2)));
    return exitCodes.done;
  }
  const text = `${JSON.stringify(made, null, 2)}\n`;
  await writeNamed(file, text);
  const [head] = made.checkpoints;
  const facts = { file, actor: made.actor, entries: made.entries.length, issued_at: made.issued_at, key: head?.key };
  out.data({ ...facts, bytes: Buffer.byteLength(text) });
  out.line(`${file}: ${made.entries.length} entries of ${subjectName(made)}, signed by ${head?.key}`);
  out.line(`verify it anywhere: infrafabric witness verify-receipt ${file} --key witness.pub`);
  return exitCodes.done;
};

/** Exit code 1 when anything in the receipt is not what was signed. */
export const verifyReceipt: CommandRun = async (context, [file = ''], options) => {
  const { out } = context;
  const trusted = requireTrustedKeys(options, (await context.resolve()).config.data_dir);
  const report = verifyBytes(file, readBytes(file), trusted);
  out.data(report);
  showReceipt(out, report);
  if (report.errors.length > 0) {
    out.line('');
    const columns = ['chain', 'seq', 'code', 'message'] as const;
    out.table(
      columns.map((key) => ({ key })),
      report.errors,
    );
  }
  out.line(`signed by ${report.key ?? 'none of the trusted keys'}`);
  out.line(report.ok ? `${file}: verified, ${scopeOf(report)}` : `${file}: verification failed`);
  return report.ok ? exitCodes.done : exitCodes.no;
};

/** @throws FabricError UNAVAILABLE when they are not JSON in UTF-8 */
function verifyBytes(file: string, bytes: Uint8Array, trusted: TrustedKeys): ReceiptReport {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (error) {
    throw new FabricError('UNAVAILABLE', `${file} cannot be read as a receipt: ${String(error)}`, undefined, {
      cause: error,
    });
  }
  const report = verify(value, trusted);
  try {
    checkJsonText(text);
    return report;
  } catch (error) {
    // Another reader of this text could see another receipt.
    const message = error instanceof Error ? error.message : String(error);
    return { ...report, ok: false, errors: [...report.errors, { chain: null, seq: 0, code: 'FIELD_TYPE', message }] };
  }
}

export const key: CommandRun = async (context, _, options) => {
  const { out } = context;
  const { data_dir } = (await context.resolve()).config;
  const isNew = !existsSync(signingKeyFile(data_dir));
  const rotate = options['rotate'] === true;
  const present = rotate && !isNew ? await rotateSigningKey(data_dir) : await openSigningKey(data_dir);
  const place = await witnessPlace(context, {});
  if (rotate && existsSync(place.path)) await signOwn(place, undefined);
  const file = textOf(options, '--out');
  const text = readFileSync(publicKeysFile(data_dir), 'utf8');
  if (file !== undefined) await writeNamed(file, text);
  const retired = (trustedKeysOf(data_dir)?.fingerprints ?? []).filter((each) => each !== present.fingerprint);
  out.data({ fingerprint: present.fingerprint, public_keys: text, retired, file: file ?? null });
  if (isNew || rotate) out.note(`a new key was made: ${signingKeyFile(data_dir)}`);
  if (file === undefined) out.text(text);
  else out.line(`${file}: the public keys`);
  out.line(`fingerprint  ${present.fingerprint}`);
  for (const each of retired) out.line(`retired      ${each}`);
  return exitCodes.done;
};

/** @throws FabricError INVALID_REQUEST when the file of --out cannot be written */
async function writeNamed(path: string, text: string): Promise<void> {
  try {
    await replaceFile(path, text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new FabricError('INVALID_REQUEST', `--out ${path} cannot be written: ${why}; name another file`, undefined, {
      cause: error,
    });
  }
}
