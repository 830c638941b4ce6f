/** The acts about the governor, one after the other: help for the stuck, a budget that holds, a circuit that opens. */
import { type CircuitTrip, tripCircuit } from './circuit.ts';
import { type Spending, spend } from './spending.ts';
import type { Stage } from './stage.ts';
import { getStuck, type Stuck } from './stuck.ts';

export interface Governance {
  readonly stuck: Stuck;
  readonly spending: Spending;
  readonly circuit: CircuitTrip;
}

/** How many tasks the acts make, and complete. */
export const governanceTasks = 8;

export async function govern(stage: Stage): Promise<Governance> {
  const stuck = await getStuck(stage);
  stage.signal.throwIfAborted();
  const spending = await spend(stage);
  stage.signal.throwIfAborted();
  const circuit = await tripCircuit(stage);
  return { stuck, spending, circuit };
}
