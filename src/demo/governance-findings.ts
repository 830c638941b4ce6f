/** What the acts about the governor have shown, beside what the witness has of it, and what a viewer would miss. */
import { addUsd } from '../../machines/money.ts';
import type { CircuitTrip } from './circuit.ts';
import type { DemoResult } from './run.ts';
import type { Spending } from './spending.ts';
import type { Stuck } from './stuck.ts';

export interface GovernanceFindings {
  /** `recorded` are the events of the blocker, in their order. */
  readonly stuck: Stuck & { readonly recorded: readonly string[] };
  /** `witness_usd` is what the work of the swarm has cost by the witness; `cost_usd` by the governor. */
  readonly spending: Spending & { readonly witness_usd: number };
  /** `told` is how often people were told; `recorded` are the events of the swarm, in their order. */
  readonly circuit: CircuitTrip & { readonly told: number; readonly recorded: readonly string[] };
}

export function governanceOf({ governance, times_told, audit }: DemoResult): GovernanceFindings {
  const { stuck, spending, circuit } = governance;
  const recorded = (id: string) => audit.governed.filter(({ actor_id }) => actor_id === id).map(({ event }) => event);
  const cost = audit.costs.find(({ swarm_id }) => swarm_id === spending.swarm_id);
  return {
    stuck: { ...stuck, recorded: recorded(stuck.blocker_id) },
    spending: { ...spending, witness_usd: cost?.cost_usd ?? 0 },
    circuit: { ...circuit, told: times_told, recorded: recorded(circuit.swarm_id) },
  };
}

/** Each as a sentence. */
export function governanceNotShown({ stuck, spending, circuit }: GovernanceFindings): string[] {
  const answers = stuck.helpers.map(({ answer }) => answer);
  const overspent = spending.steps.filter((step) => addUsd(step.reserved_usd, step.spent_usd) > step.allocated_usd);
  const refusals = spending.steps.filter(({ answers }) => (answers['BUDGET_EXHAUSTED'] ?? 0) > 0);
  const beforeReset = circuit.recorded.slice(0, circuit.recorded.indexOf('RESET'));
  const checks: ReadonlyArray<readonly [shown: boolean, otherwise: string]> = [
    [
      answers.join() === 'declined,joined,joined' && stuck.helpers.some(({ at_once }) => !at_once),
      `nobody helps ${stuck.swarm_id} in place of a swarm that declined: ${answers.join(', ')}`,
    ],
    [
      stuck.helpers.some(({ swarm_id, answer }) => swarm_id === stuck.resolved_by && answer === 'joined') &&
        stuck.recorded.at(-1) === 'RESOLVE',
      `no helper resolved the blocker of ${stuck.task_id}`,
    ],
    [refusals.length === 2, `the budget of ${spending.swarm_id} refused ${refusals.length} times, not twice`],
    [overspent.length === 0, `the budget of ${spending.swarm_id} was overspent`],
    [
      spending.cost_usd === spending.witness_usd && spending.cost_usd === spending.steps.at(-1)?.spent_usd,
      `${spending.swarm_id} has spent $${spending.cost_usd} by the governor, $${spending.witness_usd} by the witness`,
    ],
    [
      circuit.circuit === 'open' && circuit.refused_with === 'CIRCUIT_OPEN',
      `the circuit of ${circuit.swarm_id} is ${circuit.circuit} after ${circuit.failures} failures`,
    ],
    [circuit.told === 1, `people were told ${circuit.told} times of the open circuit`],
    [
      circuit.answered_after_reset === 'granted' &&
        circuit.recorded.includes('RESET') &&
        beforeReset.filter((event) => event === 'FAILURE').length === circuit.failures,
      `${circuit.swarm_id} did not go on after its circuit was reset`,
    ],
  ];
  return checks.flatMap(([shown, otherwise]) => (shown ? [] : [otherwise]));
}
