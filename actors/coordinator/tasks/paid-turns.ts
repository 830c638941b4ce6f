/**
 * Turns within this process for transactions that change a record which many of them share: that of a swarm, and that of
 * the fabric-wide budget. They would conflict otherwise. Whether a claim needs one is told from what is resident, without
 * any read; a wrong guess costs a conflict, and nothing else. A claim that reserves nothing takes no turn, nor does one
 * that will be refused: that it rests on the leader's word takes time, in which others can claim.
 */
import { type ActorRef, formatRef } from '../../../machines/address.ts';
import { remaining } from '../../../machines/budget.ts';
import { fleetRef } from '../../../machines/fleet/context.ts';
import { stateName } from '../../../machines/record.ts';
import type { SwarmContext } from '../../../machines/swarm/context.ts';
import { swarmMachine } from '../../../machines/swarm/machine.ts';
import type { TaskContext } from '../../../machines/task/context.ts';
import { taskMachine } from '../../../machines/task/machine.ts';
import type { Clock } from '../../../src/clock.ts';
import type { Lanes } from '../../../src/store/lanes.ts';
import type { Residents } from '../../../src/store/residents.ts';
import type { FleetFacts } from './fleet-plan.ts';
import { reservationFor } from './task-plan.ts';

export interface PaidTurnsOptions {
  readonly lanes: Lanes;
  readonly residents: Residents;
  readonly fleet: FleetFacts;
  readonly clock: Pick<Clock, 'now'>;
}

const ofFleet = formatRef(fleetRef);

export class PaidTurns {
  readonly #options: PaidTurnsOptions;

  constructor(options: PaidTurnsOptions) {
    this.#options = options;
  }

  /** Runs a claim of the task by this swarm. */
  async claiming<Answer>(by: string, task_id: string, claim: () => Promise<Answer>): Promise<Answer> {
    const amount = this.#toReserve(by, task_id);
    if (amount === null) return await claim();
    const isOfFleet = amount > 0 && this.#options.fleet.hasBudget;
    // By the time of its turn others may have taken the task, or the money.
    const claimInTurn = async () => (this.#toReserve(by, task_id) === null ? undefined : { answer: await claim() });
    const inTurn = await this.#ofSwarm(by, async () => await this.#ofFleet(isOfFleet, claimInTurn));
    return inTurn ? inTurn.answer : await claim();
  }

  /** Runs what ends an ownership of this swarm with an outcome, which its record counts. */
  async ending<Answer>(by: string, task_id: string, end: () => Promise<Answer>): Promise<Answer> {
    return await this.#ofSwarm(by, async () => {
      const held = this.#task(task_id)?.fleet_reserved_usd ?? 0;
      return await this.#ofFleet(held > 0, end);
    });
  }

  /** Runs what ends an ownership of this swarm without an outcome: its record changes where something was reserved. */
  async givingBack<Answer>(by: string, task_id: string, end: () => Promise<Answer>): Promise<Answer> {
    return this.#task(task_id)?.reserved_usd === null ? await end() : await this.ending(by, task_id, end);
  }

  /** What the claim would reserve, as far as is known; null where it would reserve nothing, or be refused. */
  #toReserve(by: string, task_id: string): number | null {
    const { fleet, clock } = this.#options;
    const task = this.#resident({ kind: taskMachine.kind, id: task_id });
    const swarm = this.#resident({ kind: swarmMachine.kind, id: by })?.context as SwarmContext | undefined;
    if (!task || !swarm || stateName(task.value) !== 'available') return null;
    const amount = reservationFor(task.context as TaskContext, swarm);
    if (amount === null || swarm.circuit_reasons.length > 0 || fleet.paused) return null;
    const at = clock.now();
    const budgets = fleet.budget ? [swarm.budget, fleet.budget] : [swarm.budget];
    return amount === 0 || budgets.every((budget) => amount <= remaining(budget, at)) ? amount : null;
  }

  async #ofSwarm<Answer>(id: string, run: () => Promise<Answer>): Promise<Answer> {
    return await this.#options.lanes.run(formatRef({ kind: swarmMachine.kind, id }), run);
  }

  /** Taken while a swarm's turn is held, and never the other way round. */
  async #ofFleet<Answer>(isNeeded: boolean, run: () => Promise<Answer>): Promise<Answer> {
    return isNeeded ? await this.#options.lanes.run(ofFleet, run) : await run();
  }

  #task(id: string): TaskContext | undefined {
    return this.#resident({ kind: taskMachine.kind, id })?.context as TaskContext | undefined;
  }

  #resident(ref: ActorRef) {
    return this.#options.residents.get(ref)?.stored.record.snapshot;
  }
}
