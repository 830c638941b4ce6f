/** The findings of a demo, for people. */
import type { Output } from '../cli/output.ts';
import { formatDuration } from '../cli/table.ts';
import type { Findings } from './findings.ts';
import { presentGovernance } from './present-governance.ts';

/** Errors that are shown of each chain; --json has them all. */
const mostErrors = 10;

export function presentFindings(out: Output, findings: Findings): void {
  const { swarms, not_shown, times_ms } = findings;
  out.line('');
  out.table(
    [
      { key: 'swarm_id', title: 'swarm' },
      { key: 'pid', title: 'process' },
      { key: 'race' },
      { key: 'completed', title: 'tasks done' },
      { key: 'files' },
      { key: 'lines' },
      { key: 'killed' },
    ],
    swarms.map(({ won_race, killed, ...swarm }) => ({
      ...swarm,
      race: won_race ? 'won' : 'lost',
      killed: killed ? 'SIGKILL' : '',
    })),
  );
  out.line('');
  presentActs(out, findings);
  out.line('');
  presentGovernance(out, findings.governance);
  out.line('');
  presentReport(out, findings);
  out.line('');
  presentWitness(out, findings);
  out.line('');
  presentReceipt(out, findings);
  const { fabric, race, governance, import: importing, work, stop, verify, total } = times_ms;
  out.line('');
  out.line(
    `${formatDuration(total)} in all: fabric and workers ${formatDuration(fabric)}, race ${formatDuration(race)}, governor ${formatDuration(governance)}, board ${formatDuration(importing + work)}, stop ${formatDuration(stop)}, verification ${formatDuration(verify)}`,
  );
  for (const sentence of not_shown) out.line(`NOT SHOWN: ${sentence}`);
}

function presentActs(out: Output, findings: Findings): void {
  const { race, dependencies, leader_kill, worker_kill, tasks, witness } = findings;
  const after = (ms: number) => `after ${formatDuration(ms)}`;
  const others = race.told.length === 1 ? '1 other was told so' : `${race.told.length} others were told so`;
  out.line(
    `race: ${race.told.length + race.winners.length} processes claimed one task within ${race.spread_ms} ms; ${race.winners.join(', ')} has it, and ${others}; answers took ${race.latency.p50_ms} ms at p50, ${race.latency.max_ms} ms at most`,
  );
  out.line(
    `node ${leader_kill.node} (process ${leader_kill.pid}), which led the log, was killed with ${count(leader_kill.open_tasks, 'task')} open: work went on ${after(leader_kill.recovered_after_ms)}${leader_kill.node_back_after_ms === null ? '' : `, the node was back ${after(leader_kill.node_back_after_ms)}`}`,
  );
  out.line(
    `${dependencies.task_id} waited for ${count(dependencies.waited_for, 'task')}, was claimed ${dependencies.claimed_after_ms} ms after the last of them, and got ${count(dependencies.results, 'result')}`,
  );
  out.line(
    `${worker_kill.swarm_id} (process ${worker_kill.pid}) was killed while it owned ${worker_kill.task_id}, with a lease of ${formatDuration(worker_kill.lease_ms)}: ${worker_kill.new_owner} had it ${after(worker_kill.reclaimed_after_ms)}, and completed it ${after(worker_kill.completed_after_ms)}`,
  );
  out.line(`${tasks.length - witness.not_completed_once.length} of ${tasks.length} tasks were completed exactly once`);
}

function presentWitness(out: Output, { witness, tasks }: Findings): void {
  out.line(witness.ok ? 'The witness database verifies:' : 'The witness database DOES NOT VERIFY:');
  for (const { chain, entries, errors, head_hash } of witness.chains) {
    out.line(`  ${chain}: ${entries} entries, ${errors.length} errors, head ${head_hash ?? '-'}`);
    for (const { seq, code, message } of errors.slice(0, mostErrors)) out.line(`    ${seq}: ${code}: ${message}`);
  }
  const completed = tasks.filter(({ state }) => state === 'completed').length;
  out.line(
    `COMPLETE transitions in the witness: ${witness.transitions['COMPLETE'] ?? 0}; completed tasks on the board: ${completed}`,
  );
}

function presentReceipt(out: Output, { receipt }: Findings): void {
  const { task_id, entries, bytes, key, verified, errors, command } = receipt;
  out.line(
    `Receipt of ${task_id}: ${count(entries, 'entry', 'entries')} with proofs, ${bytes} bytes, signed by ${key}; ${verified ? 'verified' : 'NOT VERIFIED'} by a process that had the receipt and the public key, nothing else. Do it yourself:`,
  );
  out.line(`  ${command}`);
  for (const error of errors.slice(0, mostErrors)) out.line(`    ${error}`);
}

function presentReport(out: Output, { directory, report, recheck }: Findings): void {
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
  out.line(
    recheck.same
      ? `measured ${recheck.passes} more times, with the same result`
      : 'measured again with another result: the directory has changed meanwhile',
  );
  out.line('');
  out.table([{ key: 'folder', title: 'largest folders' }, { key: 'lines' }, { key: 'bytes' }], report.largest_folders);
}

function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : plural}`;
}
