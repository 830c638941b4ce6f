/** The findings of a demo, for people. */
import type { Output } from '../cli/output.ts';
import { formatDuration } from '../cli/table.ts';
import type { Findings } from './findings.ts';

/** Errors that are shown of each chain; --json has them all. */
const mostErrors = 10;

export function presentFindings(out: Output, findings: Findings): void {
  const { swarms, claims, witness, tasks, times_ms } = findings;
  out.line('');
  out.table(
    [
      { key: 'swarm_id', title: 'swarm' },
      { key: 'pid', title: 'process' },
      { key: 'completed', title: 'tasks done' },
      { key: 'files' },
      { key: 'lines' },
      { key: 'races_lost', title: 'races lost' },
      { key: 'p50', title: 'claim p50 ms' },
      { key: 'p99', title: 'p99 ms' },
    ],
    swarms.map(({ claim_latency: { p50_ms, p99_ms }, ...swarm }) => ({ ...swarm, p50: p50_ms, p99: p99_ms })),
  );
  const { p50_ms, p99_ms } = claims.latency;
  out.line(
    `${claims.latency.count} claims in a fabric that is seconds old: p50 ${p50_ms} ms, p99 ${p99_ms} ms; ${claims.races_lost} lost a race, and ${tasks.length - witness.not_completed_once.length} of ${tasks.length} tasks were completed exactly once`,
  );
  out.line('');
  presentReport(out, findings);
  out.line('');
  out.line(witness.ok ? 'The witness database verifies:' : 'The witness database DOES NOT VERIFY:');
  for (const { chain, entries, errors, head_hash } of witness.chains) {
    out.line(`  ${chain}: ${entries} entries, ${errors.length} errors, head ${head_hash ?? '-'}`);
    for (const { seq, code, message } of errors.slice(0, mostErrors)) out.line(`    ${seq}: ${code}: ${message}`);
  }
  const completed = tasks.filter(({ state }) => state === 'completed').length;
  out.line(
    `COMPLETE transitions in the witness: ${witness.transitions['COMPLETE'] ?? 0}; completed tasks on the board: ${completed}`,
  );
  const { fabric, work, stop, verify, total } = times_ms;
  out.line('');
  out.line(
    `${formatDuration(total)} in all: fabric ${formatDuration(fabric)}, work ${formatDuration(work)}, stop ${formatDuration(stop)}, verification ${formatDuration(verify)}`,
  );
}

function presentReport(out: Output, { directory, report }: Findings): void {
  const { folders, files, lines, bytes, binary_files, unreadable_files } = report;
  const others = [
    binary_files > 0 ? `${binary_files} of them binary` : '',
    unreadable_files > 0 ? `${unreadable_files} more could not be read` : '',
  ].filter((text) => text !== '');
  out.line(
    `${directory}: ${folders} folders, ${files} files${others.length > 0 ? ` (${others.join(', ')})` : ''}, ${lines} lines, ${bytes} bytes`,
  );
  const [file] = report.longest_files;
  const [longest] = report.longest_functions;
  if (file) out.line(`longest file: ${file.path}, ${file.lines} lines`);
  if (longest)
    out.line(
      `longest function: ${longest.name} in ${longest.path}:${longest.line}, about ${longest.lines_estimate} lines`,
    );
  out.line('');
  out.table([{ key: 'folder', title: 'largest folders' }, { key: 'lines' }, { key: 'bytes' }], report.largest_folders);
}
