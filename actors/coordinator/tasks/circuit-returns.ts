/**
 * Tasks of swarms whose circuits opened, or who were all paused, where policy returns them: they go back as soon as the record of the swarm is
 * seen, by whichever process sees it first. The sweep finds what was missed, and the swarms whose circuits were open
 * before policy said so.
 */
import { formatRef } from '../../../machines/address.ts';
import { fleetRef } from '../../../machines/fleet/context.ts';
import type { SwarmContext } from '../../../machines/swarm/context.ts';
import { swarmMachine } from '../../../machines/swarm/machine.ts';
import type { Log } from '../../../src/log.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import type { FleetKnown } from '../../fleet-known.ts';
import type { TaskPolicy } from './task-policy.ts';

export interface CircuitReturnsOptions {
  readonly tasks: {
    /** Everyone who owns a task now, as far as is known. */
    owners(): Iterable<string>;
    /** Ids of the tasks that a swarm owns. @throws FabricError UNAVAILABLE */
    ownedBy(swarm_id: string): Promise<readonly string[]>;
    /** As `TaskOperations.circuitOpened`. @throws FabricError */
    circuitOpened(task_id: string, owner: string): Promise<unknown>;
  };
  readonly policy: Pick<TaskPolicy, 'open_circuit_tasks'>;
  readonly fleet: Pick<FleetKnown, 'paused'>;
  readonly log: Log;
}

/** Whether the circuit is open for anything but a pause that drains the swarm. */
export function losesTasks({ circuit_reasons, pause }: SwarmContext): boolean {
  return circuit_reasons.some((reason) => reason !== 'paused' || pause?.mode !== 'drain');
}

export class CircuitReturns {
  readonly #options: CircuitReturnsOptions;
  /** The swarms that may not keep their tasks, if policy says so. */
  readonly #open = new Set<string>();
  /** Of the last records of swarms that ever were among them. */
  readonly #revisions = new Map<string, number>();
  readonly #returning = new Map<string, Promise<void>>();
  #begun = false;
  #stopped = false;

  constructor(options: CircuitReturnsOptions) {
    this.#options = options;
  }

  /** From now on what is seen is new, and followed at once. */
  begin(): void {
    this.#begun = true;
  }

  /** Takes in any record, of this process or of another, in any order, also twice. */
  apply({ record, revision }: StoredRecord): void {
    const { kind, id, snapshot } = record;
    if (kind === fleetRef.kind) this.#fleetChanged();
    if (kind !== swarmMachine.kind || revision <= (this.#revisions.get(id) ?? 0)) return;
    const context = snapshot.context as SwarmContext;
    if (!losesTasks(context)) {
      this.#open.delete(id);
      if (this.#revisions.has(id)) this.#revisions.set(id, revision);
      return;
    }
    this.#revisions.set(id, revision);
    if (this.#open.has(id)) return;
    this.#open.add(id);
    if (this.#begun && this.#returns) this.#start(id).catch((error: unknown) => this.#warn(error, id));
  }

  /** Made to be called about every second. @throws FabricError UNAVAILABLE: the next sweep goes on */
  async sweep(): Promise<void> {
    const fromAll = this.#options.fleet.paused?.mode === 'pause';
    if (!this.#returns || (this.#open.size === 0 && !fromAll)) return;
    for (const owner of this.#options.tasks.owners()) if (fromAll || this.#open.has(owner)) await this.#start(owner);
  }

  /** Begins nothing more, and waits for what is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.allSettled(this.#returning.values());
  }

  #fleetChanged(): void {
    if (!this.#begun || this.#options.fleet.paused?.mode !== 'pause') return;
    this.sweep().catch((error: unknown) =>
      this.#options.log.warn(
        { err: error },
        'tasks are not returned yet though all swarms are paused; the sweep goes on',
      ),
    );
  }

  get #returns(): boolean {
    return this.#options.policy.open_circuit_tasks === 'return' && !this.#stopped;
  }

  async #start(swarm_id: string): Promise<void> {
    const present = this.#returning.get(swarm_id);
    if (present) return await present;
    const returning = this.#return(swarm_id).finally(() => this.#returning.delete(swarm_id));
    this.#returning.set(swarm_id, returning);
    await returning;
  }

  async #return(swarm_id: string): Promise<void> {
    const { tasks } = this.#options;
    for (const task_id of await tasks.ownedBy(swarm_id)) {
      if (!this.#returns) return;
      await tasks.circuitOpened(task_id, swarm_id);
    }
  }

  #warn(error: unknown, swarm_id: string): void {
    const ref = formatRef({ kind: swarmMachine.kind, id: swarm_id });
    this.#options.log.warn({ err: error, swarm_id }, `tasks of ${ref} are not returned yet; the sweep goes on`);
  }
}
