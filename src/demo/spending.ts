/**
 * A budget holds: claims of priced tasks reserve their estimate, and what the budget does not cover is refused, also of
 * claims that come at once. What work did not cost is free again; an operator who allocates more lets it go on.
 */
import type { FabricClient } from '../bus/client.ts';
import { formatUsd } from '../cli/table.ts';
import { claim, claimed, outcomeOf } from './claims.ts';
import type { Stage } from './stage.ts';

/** What a swarm may still spend, US dollars. */
export interface Figures {
  readonly allocated_usd: number;
  readonly reserved_usd: number;
  readonly spent_usd: number;
  readonly remaining_usd: number;
}

/** Something that was asked, how it was answered, and the budget afterwards. A type, so that it is also a row of a table. */
export type SpendingStep = Figures & { readonly step: string; readonly answers: Readonly<Record<string, number>> };

export interface Spending {
  readonly swarm_id: string;
  readonly task_ids: readonly string[];
  readonly estimate_usd: number;
  readonly steps: readonly SpendingStep[];
  /** What the swarm's work has cost by the governor's report at the end. */
  readonly cost_usd: number;
  readonly ms: number;
}

const spenderId = 'vixen';
const taskIds = ['translate-1', 'translate-2', 'translate-3', 'translate-4'] as const;
const estimate_usd = 0.4;
const cost_usd = 0.3;
const budgets = { first: 1, raised: 2 };

export async function spend({ client, admit, progress }: Stage): Promise<Spending> {
  const begun = performance.now();
  const spender = await admit(spenderId, { capabilities: ['docs:translation'], cost_per_hour: 0 });
  const steps: SpendingStep[] = [];
  const note = async (step: string, outcomes: readonly string[]) => {
    steps.push({ step, answers: countOf(outcomes), ...(await figuresOf(spender)) });
  };
  const allocate = async (budget_usd: number) =>
    await client.request('governor', 'allocate_budget', { swarm_id: spenderId, budget_usd });
  const finish = async (task_id: string, token: number) =>
    await spender.request('task', 'complete', { task_id, token, result: null, cost: { cost_usd, model: 'demo' } });

  await allocate(budgets.first);
  await Promise.all(
    taskIds.map(
      async (task_id) =>
        await client.request('task', 'create', {
          task_id,
          task_type: 'translate',
          requires: ['docs:translation'],
          cost_estimate: estimate_usd,
        }),
    ),
  );
  const answers = await Promise.all(taskIds.map(async (task_id) => [task_id, await claim(spender, task_id)] as const));
  await note(
    `${taskIds.length} claims of ${formatUsd(estimate_usd)} at once`,
    answers.map(([, answer]) => outcomeOf(answer)),
  );
  progress.say(`${spenderId} has claimed what its budget covers; the rest was refused`);

  const granted = answers.flatMap(([task_id, answer]) => (answer.claimed ? [{ task_id, token: answer.token }] : []));
  await Promise.all(granted.map(async ({ task_id, token }) => await finish(task_id, token)));
  await note(`${granted.length} completed, at ${formatUsd(cost_usd)} each`, []);

  const [third, fourth] = answers.flatMap(([task_id, answer]) => (answer.claimed ? [] : [task_id]));
  const token = await claimed(spender, third!);
  await note(`a claim of ${formatUsd(estimate_usd)}`, ['granted']);
  await note(`the next claim of ${formatUsd(estimate_usd)}`, [outcomeOf(await claim(spender, fourth!))]);
  await allocate(budgets.raised);
  const last = await claim(spender, fourth!);
  await note(`the same, after the operator allocated ${formatUsd(budgets.raised)}`, [outcomeOf(last)]);
  await finish(third!, token);
  if (last.claimed) await finish(fourth!, last.token);
  await note(`both completed, at ${formatUsd(cost_usd)} each`, []);
  const { swarms } = await client.request<Report>('governor', 'report', { swarm_id: spenderId });
  return {
    swarm_id: spenderId,
    task_ids: taskIds,
    estimate_usd,
    steps,
    cost_usd: swarms[0]?.cost_usd ?? Number.NaN,
    ms: Math.round(performance.now() - begun),
  };
}

interface Report {
  readonly swarms: ReadonlyArray<{ readonly cost_usd: number; readonly budget: Figures }>;
}

/** As the swarm sees its own budget. */
async function figuresOf(spender: FabricClient): Promise<Figures> {
  const { swarms } = await spender.request<Report>('governor', 'report');
  const { allocated_usd, reserved_usd, spent_usd, remaining_usd } = swarms[0]!.budget;
  return { allocated_usd, reserved_usd, spent_usd, remaining_usd };
}

function countOf(outcomes: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}
