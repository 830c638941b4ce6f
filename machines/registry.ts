/** All kinds of actors and their machines. What is stored under any other kind is not ours. */
import { approvalMachine } from './approval/machine.ts';
import { blockerMachine } from './blocker/machine.ts';
import { fleetMachine } from './fleet/machine.ts';
import type { ActorMachine } from './machine.ts';
import { policyMachine } from './policy/machine.ts';
import { semaphoreMachine } from './semaphore/machine.ts';
import { serviceMachine } from './service/machine.ts';
import { swarmMachine } from './swarm/machine.ts';
import { taskMachine } from './task/machine.ts';

const machines: readonly ActorMachine[] = [
  taskMachine,
  swarmMachine,
  blockerMachine,
  semaphoreMachine,
  serviceMachine,
  approvalMachine,
  fleetMachine,
  policyMachine,
];

const byKind: ReadonlyMap<string, ActorMachine> = new Map(machines.map((machine) => [machine.kind, machine]));

/** The kinds of actors that there are. */
export const kinds: readonly string[] = machines.map((machine) => machine.kind);

/** The machine of a kind; undefined when there is no such kind. */
export function machineOf(kind: string): ActorMachine | undefined {
  return byKind.get(kind);
}
