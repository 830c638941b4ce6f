/**
 * Assignment: a task that was created with `assign` is offered to the swarm that suits it best, which finds it in its
 * mailbox, then to the next one if that one does not claim it in time or cannot any more, and to all when nobody is left.
 * Any number of governors may look at the same task; the record says once to whom it goes, and why.
 */
import { stateName } from '../../../machines/record.ts';
import type { SwarmState } from '../../../machines/swarm/context.ts';
import { swarmMachine } from '../../../machines/swarm/machine.ts';
import { isOpenToAll } from '../../../machines/task/assignment.ts';
import type { TaskContext } from '../../../machines/task/context.ts';
import type { PassedOver } from '../../../machines/task/events.ts';
import { taskMachine } from '../../../machines/task/machine.ts';
import { FabricError } from '../../../src/errors.ts';
import type { Plan, PlanView } from '../../../src/store/actor-store.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import type { Timer } from '../../../src/store/timers.ts';
import type { FleetKnown } from '../../fleet-known.ts';
import type { GovernorPart, GovernorParts } from '../part.ts';
import { cannotClaim, chooseSwarm } from './choice.ts';
import { KeptTasks } from './kept-tasks.ts';

export const assignTimer = 'task-assign';
const assignedBy = 'IF.governor';
/** Tasks that are assigned at the same time; further ones wait in the order in which they came. */
const atOnce = 16;
/** Who assigned a task has put it into the mailbox within this time, milliseconds; else whoever finds it does. */
const graceMs = 1_000;

export interface AssignmentOptions {
  /** Puts a task into a swarm's mailbox. @throws FabricError */
  readonly push: (to: string, task_id: string) => Promise<unknown>;
  /** While nobody may claim anything, nothing is assigned. */
  readonly fleet: Pick<FleetKnown, 'paused'>;
}

export class Assignment implements GovernorPart {
  readonly timers = [assignTimer];
  readonly #parts: GovernorParts;
  readonly #options: AssignmentOptions;
  readonly #kept = new KeptTasks();
  readonly #waiting = new Set<string>();
  readonly #working = new Map<string, Promise<void>>();
  readonly #following = new Set<Promise<unknown>>();
  /** The revisions of kept tasks that were put into mailboxes from here. */
  readonly #pushed = new Map<string, number>();
  /** Before all swarms are known nobody is chosen. */
  #begun = false;
  #stopped = false;

  constructor(parts: GovernorParts, options: AssignmentOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /** Whether a record of this task in this state has to be applied. */
  concerns(task_id: string, state: string): boolean {
    return this.#kept.concerns(task_id, state);
  }

  apply(stored: StoredRecord): void {
    if (stored.record.kind === swarmMachine.kind) this.#passOver(stored.record.id);
    if (stored.record.kind !== taskMachine.kind) return;
    const kept = this.#kept.apply(stored);
    if (kept?.to === null) this.#offer(stored.record.id);
  }

  /** Who was chosen here is told, and the time that it has begins. */
  committed({ record, revision }: StoredRecord): void {
    if (record.kind !== taskMachine.kind || record.event.type !== 'ASSIGN') return;
    const { to, until } = record.event as unknown as { to: string | null; until: number };
    if (to === null) return;
    const { timers, log } = this.#parts;
    const facts = { task_id: record.id, swarm_id: to };
    this.#follow(timers.set({ what: assignTimer, id: record.id, at: until }), (err) =>
      log.warn({ err, ...facts }, 'the timer of an assignment was not set'),
    );
    this.#push(to, record.id, revision);
  }

  async due({ id }: Timer): Promise<void> {
    await this.#assign(id);
  }

  begin(): void {
    this.#begun = true;
    this.#work();
  }

  async sweep(): Promise<void> {
    const now = this.#parts.clock.now();
    for (const id of this.#kept.unassigned(now)) this.#waiting.add(id);
    for (const swarm_id of this.#kept.swarms()) this.#passOver(swarm_id);
    this.#pushAgain(now);
    this.#work();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#waiting.clear();
    await Promise.all(this.#working.values());
    await Promise.all(this.#following);
  }

  #offer(task_id: string): void {
    this.#waiting.add(task_id);
    if (this.#begun) this.#work();
  }

  /** What is kept for a swarm that cannot claim it is assigned anew. */
  #passOver(swarm_id: string): void {
    const known = this.#parts.swarms.get(swarm_id);
    if (!known || cannotClaim(known.state) === undefined) return;
    for (const task_id of this.#kept.keptFor(swarm_id)) this.#offer(task_id);
  }

  #push(to: string, task_id: string, revision: number): void {
    this.#pushed.set(task_id, revision);
    this.#follow(this.#options.push(to, task_id), (err) =>
      this.#parts.log.warn(
        { err, task_id, swarm_id: to },
        'an assigned task was not put into the mailbox of its swarm',
      ),
    );
  }

  /** Whoever assigned a task may have ended before it told the swarm. The same push again changes nothing. */
  #pushAgain(now: number): void {
    const kept = new Map(this.#kept.assigned(now));
    for (const task_id of [...this.#pushed.keys()]) if (!kept.has(task_id)) this.#pushed.delete(task_id);
    for (const [task_id, { to, since, revision }] of kept)
      if (now - since >= graceMs && this.#pushed.get(task_id) !== revision) this.#push(to, task_id, revision);
  }

  #work(): void {
    for (const task_id of this.#waiting) {
      if (this.#stopped || this.#working.size >= atOnce) return;
      if (this.#working.has(task_id)) continue;
      this.#waiting.delete(task_id);
      const working = this.#assign(task_id)
        .catch((error: unknown) => {
          this.#parts.log.warn({ err: error, task_id }, 'a task was not assigned; the sweep tries again');
        })
        .finally(() => {
          this.#working.delete(task_id);
          this.#work();
        });
      this.#working.set(task_id, working);
    }
  }

  /** Does nothing where the task is not kept any more, or still kept for whom it was assigned to. */
  async #assign(task_id: string): Promise<void> {
    if (this.#options.fleet.paused) return;
    const { store, swarms, policy, newId } = this.#parts;
    const plan: Plan<void> = async (view) => {
      const { last, snapshot } = await view.get(taskMachine, task_id);
      const { context } = snapshot;
      if (!last || stateName(snapshot.value) !== 'available' || isOpenToAll(context)) {
        this.#kept.remove(task_id, last?.revision);
        return { answer: undefined };
      }
      const { assignment } = context;
      const passedOver = await this.#passedOver(view, context);
      if (assignment?.to != null && view.now < assignment.until && !passedOver) return { answer: undefined };
      const event = chooseSwarm(context, {
        swarms,
        policy: policy.current,
        offeredTo: (swarm_id) => this.#kept.offeredTo(swarm_id, task_id),
        passedOver,
        now: view.now,
      });
      return { send: [{ machine: taskMachine, id: task_id, event, trace_id: context.trace_id }], answer: () => {} };
    };
    try {
      await store.transact({ by: assignedBy, trace_id: newId() }, plan);
    } catch (error) {
      // Another governor, or who claimed it, was faster.
      const isLate = error instanceof FabricError && ['CONFLICT', 'TASK_NOT_AVAILABLE'].includes(error.code);
      if (!isLate) throw error;
    }
  }

  /** For whom the task is kept, where that swarm cannot claim it any more: as its record says, which the event then does, too. */
  async #passedOver(view: PlanView, { assignment }: TaskContext): Promise<PassedOver | undefined> {
    if (assignment?.to == null || assignment.until <= view.now) return undefined;
    const { snapshot } = await view.get(swarmMachine, assignment.to);
    const why = cannotClaim(snapshot.value as SwarmState);
    return why && { swarm_id: assignment.to, why };
  }

  #follow(step: Promise<unknown>, onError: (error: unknown) => void): void {
    const following = step.catch(onError).finally(() => this.#following.delete(following));
    this.#following.add(following);
  }
}
