/** What the governor has done in a demo, for people. */
import type { Output } from '../cli/output.ts';
import { formatDuration, formatUsd } from '../cli/table.ts';
import type { GovernanceFindings } from './governance-findings.ts';
import type { AskedHelper } from './stuck.ts';

export function presentGovernance(out: Output, { stuck, spending, circuit }: GovernanceFindings): void {
  // The stuck one, those who might help, the one with the budget, and the one that fails.
  const more = 3 + stuck.helpers.length + stuck.not_asked.length;
  out.line(`${more} more swarms, in the process of the demo, each with credentials of its own:`);
  out.line('');
  presentStuck(out, stuck);
  out.line('');
  presentSpending(out, spending);
  out.line('');
  presentCircuit(out, circuit);
}

function presentStuck(out: Output, stuck: GovernanceFindings['stuck']): void {
  const { swarm_id, task_id, required_capabilities, helpers, not_asked, resolved_by } = stuck;
  out.line(
    `${swarm_id} was stuck with ${task_id}, for want of ${required_capabilities.join(', ')}: ${resolved_by ?? 'nobody'} resolved it after ${formatDuration(stuck.resolved_after_ms)}, and ${swarm_id} completed the task after ${formatDuration(stuck.completed_after_ms)}`,
  );
  for (const helper of helpers) out.line(`  ${described(helper)}`);
  for (const other of not_asked)
    out.line(
      `  ${other.swarm_id}, ${formatUsd(other.cost_per_hour)} an hour, was not asked: it has ${other.capabilities} of the ${required_capabilities.length} capabilities`,
    );
}

function described({ swarm_id, cost_per_hour, at_once, asked_after_ms, answer, reason }: AskedHelper): string {
  const how = at_once ? 'was asked' : 'the next best, was asked instead';
  const when = asked_after_ms === null ? how : `${how} after ${formatDuration(asked_after_ms)}`;
  const why = reason === null ? '' : ` (${reason})`;
  return `${swarm_id}, ${formatUsd(cost_per_hour)} an hour, ${when}: ${answer}${why}`;
}

function presentSpending(
  out: Output,
  { swarm_id, steps, cost_usd, witness_usd }: GovernanceFindings['spending'],
): void {
  out.table(
    [
      { key: 'step', title: `budget of ${swarm_id}` },
      { key: 'answer' },
      { key: 'allocated', align: 'right' },
      { key: 'reserved', align: 'right' },
      { key: 'spent', align: 'right' },
      { key: 'left', align: 'right' },
    ],
    steps.map(({ step, answers, allocated_usd, reserved_usd, spent_usd, remaining_usd }) => ({
      step,
      answer: Object.entries(answers)
        .map(([answer, times]) => (times === 1 ? answer : `${times} ${answer}`))
        .join(', '),
      allocated: formatUsd(allocated_usd),
      reserved: formatUsd(reserved_usd),
      spent: formatUsd(spent_usd),
      left: formatUsd(remaining_usd),
    })),
  );
  out.line(`cost of its work: ${formatUsd(cost_usd)} by the governor, ${formatUsd(witness_usd)} by the witness`);
}

function presentCircuit(out: Output, circuit: GovernanceFindings['circuit']): void {
  const { swarm_id, failures, refused_with, told, told_after_ms, reputation, answered_after_reset } = circuit;
  out.line(
    `${swarm_id} failed ${failures} tasks in a row: its circuit opened, its next claim was refused with ${refused_with}; people were told ${told === 1 ? 'once' : `${told} times`}, after ${formatDuration(told_after_ms)}; the operator reset it, and the next claim was ${answered_after_reset}`,
  );
  out.line(
    `reputation of ${swarm_id}: ${reputation.before} before, ${reputation.failed} after the failures, ${reputation.after} after it had completed all ${circuit.task_ids.length} at last`,
  );
}
