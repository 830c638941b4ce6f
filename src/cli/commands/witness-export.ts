/** `infrafabric witness export`: the history as a new file for programs, spreadsheets, or people. */
import { once } from 'node:events';
import { systemClock } from '../../clock.ts';
import { FabricError } from '../../errors.ts';
import { packageVersion } from '../../version.ts';
import { type ExportFormat, type ExportTally, exportText } from '../../witness/report/export.ts';
import { writeNewFile } from '../../witness/report/export-file.ts';
import { auditReport, type ReportOptions } from '../../witness/report/report.ts';
import type { Selection } from '../../witness/report/selection.ts';
import { verifyDatabase } from '../../witness/verify/verify.ts';
import { type Options, textOf } from '../option-values.ts';
import { exitCodes } from '../output.ts';
import type { CommandContext, CommandRun } from '../program.ts';
import { databasePath, filtersOf, keptCheckpoints, reading, trustedKeys } from '../witness-source.ts';

/** Exit code 1 when a report was written that says that the history does not verify. */
export const exportEntries: CommandRun = async (context, _, options) => {
  const { out, signal } = context;
  const format = formatOf(options);
  const place = textOf(options, '--out') ?? '-';
  const path = await databasePath(context, options);
  const selection = filtersOf(options) as Selection;
  const report = format === 'html' ? await reportOptions(context, options, path, selection) : undefined;
  const tally: ExportTally = { entries: 0, damaged: 0 };
  await reading(path, async (sqlite) => {
    const text = report
      ? auditReport(sqlite, report, tally)
      : exportText(sqlite, format as ExportFormat, selection, tally);
    if (place === '-') await writeToStdout(text, signal);
    else await writeNewFile(place, text, signal);
  });
  const verified = report?.verification.ok;
  if (place !== '-') {
    out.data({ format, out: place, ...tally, ...(verified === undefined ? {} : { verified }) });
    out.line(`${place}: ${tally.entries} entries`);
  }
  if (tally.damaged > 0)
    out.note(
      `${tally.damaged} entries have a payload that is not JSON, exported as text; \`infrafabric witness verify\` says more`,
    );
  if (verified === undefined) return exitCodes.done;
  for (const fingerprint of report?.trust.fingerprints ?? []) out.note(`trusted key ${fingerprint}`);
  out.note(verified ? 'the history verified' : 'the history does not verify; the report lists its faults');
  return verified ? exitCodes.done : exitCodes.no;
};

function formatOf(options: Options): 'json' | 'csv' | 'html' {
  const format = textOf(options, '--format') ?? '';
  if (format === 'html') return format;
  for (const flag of ['--key', '--checkpoint']) {
    if (textOf(options, flag) !== undefined)
      throw new FabricError('INVALID_REQUEST', `${flag} is for --format html, which verifies; leave it out`);
  }
  if (format === 'json' || format === 'csv') return format;
  throw new FabricError(
    'INVALID_REQUEST',
    `--format must be json, csv or html, not ${JSON.stringify(format.slice(0, 80))}`,
  );
}

/** Verifies the whole file, whatever is selected. @throws FabricError UNAVAILABLE, INVALID_REQUEST */
async function reportOptions(
  context: CommandContext,
  options: Options,
  path: string,
  selection: Selection,
): Promise<ReportOptions> {
  const { data_dir } = (await context.resolve()).config;
  const trusted = trustedKeys(options, data_dir);
  // Before the database, which may grow meanwhile.
  const checkpoints = keptCheckpoints(options, data_dir);
  const kept = checkpoints ?? [];
  if (kept.length > 0 && !trusted)
    throw new FabricError(
      'INVALID_REQUEST',
      'checkpoints are worth what their key is; name the public key with --key FILE',
    );
  const verification = verifyDatabase(path, { trusted, checkpoints });
  return {
    source: path,
    created_at: systemClock.now(),
    program: `InfraFabric ${packageVersion()}`,
    verification,
    trust: {
      fingerprints: trusted?.fingerprints ?? [],
      checkpoints: kept.length,
      newest_at: kept.reduce<number | null>((newest, { issued_at }) => Math.max(newest ?? issued_at, issued_at), null),
    },
    selection,
  };
}

/** Waits for whoever reads; ends quietly when they go away. */
async function writeToStdout(text: Iterable<string>, signal: AbortSignal): Promise<void> {
  let gone = false;
  const onError = () => {
    gone = true;
  };
  process.stdout.on('error', onError);
  try {
    for (const chunk of text) {
      if (gone) return;
      signal.throwIfAborted();
      if (!process.stdout.write(chunk)) await once(process.stdout, 'drain', { signal }).catch(() => {});
    }
  } finally {
    process.stdout.off('error', onError);
  }
}
