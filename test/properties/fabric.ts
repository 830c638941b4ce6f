/** A fabric of two coordinator processes over one log and one clock, and the clients that send them requests. */
import type fc from 'fast-check';
import { leaseTimer } from '../../actors/coordinator/leases/lease-timers.ts';
import { livenessTimer } from '../../actors/coordinator/liveness/signs-of-life.ts';
import { operatorId } from '../../machines/address.ts';
import { type Code, codes } from '../../machines/codes.ts';
import { fleetMachine } from '../../machines/fleet/machine.ts';
import { defaultPolicy } from '../../machines/policy/values.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { FabricError } from '../../src/errors.ts';
import { MemoryTimers } from '../../src/store/memory-timers.ts';
import type { Timer } from '../../src/store/timers.ts';
import { type Command, type Creation, type Governance, type Step, swarmIds, taskIds, type Whom } from './commands.ts';
import { CoordinatorProcess } from './coordinator-process.ts';
import { Interleaving } from './interleaving.ts';
import { MemoryRegisters } from './reached.ts';
import { chosen, creation, type Request, requestOf, taskOf, tokenFor } from './requests.ts';
import { SharedLog } from './shared-log.ts';
import { SimulatedTime } from './simulated-time.ts';

export type Outcome =
  | { readonly kind: 'answered'; readonly answer: unknown }
  | { readonly kind: 'refused'; readonly code: Code; readonly message: string }
  /** No answer came, or one that leaves it open. */
  | { readonly kind: 'unknown' };

/** A request as its client saw it. */
export interface Observation {
  readonly request: Request;
  /** The last revision of the log, and the time, before it was sent and after its outcome was known. */
  readonly from: { readonly revision: number; readonly at: number };
  readonly to: { readonly revision: number; readonly at: number };
  readonly outcome: Outcome;
}

const descriptions = {
  alpha: { capabilities: [], cost_per_hour: 1, max_concurrent_tasks: 1 },
  beta: { capabilities: [], cost_per_hour: 1 },
  gamma: { capabilities: [], cost_per_hour: 1, max_concurrent_tasks: 3 },
} as const;

export class Fabric {
  readonly shared = new SharedLog();
  readonly clock = new SimulatedTime();
  readonly #timers = new MemoryTimers(this.clock);
  readonly #registers = new MemoryRegisters(this.clock);
  readonly observations: Observation[] = [];
  readonly interleaving: Interleaving;
  readonly processes: CoordinatorProcess[];
  #ids = 0;
  /** Requests that wait for more than this round. */
  readonly #parked: Promise<unknown>[] = [];
  #passing: Promise<void> = Promise.resolve();
  readonly #governance: Governance;

  constructor(scheduler: fc.Scheduler, governance: Governance) {
    this.#governance = governance;
    this.interleaving = new Interleaving(scheduler);
    this.processes = [this.#newProcess('A'), this.#newProcess('B')];
    void this.#timers.consume(async (timer) => await this.#due(timer));
  }

  /** Registers the swarms and creates the tasks of the board, one after another. */
  async open(board: readonly Creation[]): Promise<void> {
    const [first] = this.processes;
    for (const swarm_id of swarmIds) {
      const budget_usd = swarm_id === 'beta' ? 0 : 2;
      await this.#until(first!.swarms.invite(operatorId, swarm_id, { grants: [], budget_usd }));
      await this.#until(this.#register(first!, swarm_id));
    }
    const { fleet_usd } = this.#governance;
    if (fleet_usd !== null) await this.#until(first!.budgets.allocateFleet(operatorId, { budget_usd: fleet_usd }));
    for (const [i, content] of board.entries()) {
      const { now } = this;
      await this.#until(this.send(creation(taskIds[i]!, 'alpha', content, { shared: this.shared, now }), 0));
    }
    await this.interleaving.idle();
  }

  get now(): number {
    return this.clock.now();
  }

  /** The steps of a round, at the same time. */
  async round(steps: readonly Step[]): Promise<void> {
    const running = steps.flatMap<Promise<unknown>>(({ command, via, twice }) => {
      const request = requestOf(command, { shared: this.shared, now: this.now, mark: this.#newId() });
      if (!request) return [this.#happen(command, via)];
      const sent = [this.send(request, via), ...(twice ? [this.send(request, via + 1)] : [])];
      if (!request.parks) return sent;
      this.#parked.push(...sent);
      return [];
    });
    await this.#until(Promise.all(running));
  }

  /** Sends a request; a client that learns nothing of its outcome sends it once more. */
  async send(request: Request, via: number): Promise<Outcome> {
    const outcome = await this.#sendOnce(request, via);
    return outcome.kind === 'unknown' ? await this.#sendOnce(request, via + 1) : outcome;
  }

  /** Resolves when every request has its outcome, for which time has to pass. */
  async answered(): Promise<void> {
    await Promise.all(this.#parked);
  }

  /** A process that died starts again, with nothing but what the log holds. */
  restart(): void {
    for (const [i, process] of this.processes.entries())
      if (!process.alive) this.processes[i] = this.#newProcess(`${process.name}'`);
  }

  /** Lets time pass; what is due on the way happens at its time. */
  async pass(ms: number): Promise<void> {
    const passing = this.#passing.then(async () => await this.clock.advance(ms));
    this.#passing = passing;
    await passing;
  }

  /** Some process is handed what is due, and another one a second later if that did not work out. */
  async #due(timer: Timer): Promise<void> {
    const process = this.#alive(this.#ids);
    const outcome = await Promise.race([outcomeOf(process.due(timer)), process.reach.death]);
    if (outcome === 'dead' || outcome.kind === 'unknown')
      this.clock.schedule(this.now + 1_000, async () => await this.#due(timer));
  }

  async #sendOnce(request: Request, via: number): Promise<Outcome> {
    const from = { revision: this.shared.revision, at: this.now };
    const process = this.#alive(via);
    const outcome = await Promise.race([
      outcomeOf(process.answer(request.by, async () => await request.run(process))),
      process.reach.death,
    ]);
    const to = { revision: this.shared.revision, at: this.now };
    const seen: Outcome = outcome === 'dead' ? { kind: 'unknown' } : outcome;
    this.observations.push({ request, from, to, outcome: seen });
    return seen;
  }

  /** What nobody asked for. */
  async #happen(command: Command, via: number): Promise<void> {
    const process = this.#alive(via);
    switch (command.do) {
      case 'time passes':
        return await this.pass(command.ms);
      case 'die':
        return process.reach.die();
      case 'start again':
        return this.restart();
      case 'fault':
        return process.reach.arm(command.fault, command.after);
      default:
        await Promise.race([tolerant(this.#work(command, process)), process.reach.death]);
    }
  }

  async #work(command: Command, process: CoordinatorProcess): Promise<unknown> {
    switch (command.do) {
      case 'lease expired': {
        const task_id = chosen(command.task, this.shared) ?? taskIds[0];
        const context = taskOf(this.shared, task_id);
        const token = tokenFor(command.token, context) ?? 0;
        if (command.timer === 'early')
          return await process.tasks.leasesExpired([{ task_id, token, lease_expires_at: this.now + 1 }]);
        return await process.due({ what: leaseTimer, id: task_id, at: this.now, data: { token } });
      }
      case 'owner lost': {
        const task_id = chosen(command.task, this.shared) ?? taskIds[0];
        const owner = command.owner === 'owner' ? taskOf(this.shared, task_id)?.owner : command.owner;
        return await process.tasks.ownerLost(task_id, owner ?? 'alpha', 'offline');
      }
      case 'due':
        return await process.tasks.due(chosen(command.task, this.shared) ?? taskIds[0]);
      case 'silence':
        return await process.due({ what: livenessTimer, id: command.by, at: this.now });
      case 'sign of life':
        return await process.answer(command.by, async () => await process.swarms.heartbeat(command.by));
      case 'unregister':
        return await process.answer(command.by, async () => await process.unregister(command.by));
      case 'register':
        return await process.answer(command.by, async () => await this.#register(process, command.by));
      case 'sweep':
        return await process.sweep();
      case 'charge':
        return await process.answer(command.by, async () => {
          const { cost_usd } = command;
          return await process.budgets.charge(command.by, { operation: 'search', cost_usd });
        });
      default:
        return await this.#govern(command, process);
    }
  }

  /** What an operator does. */
  async #govern(command: Command, { store, budgets }: CoordinatorProcess): Promise<unknown> {
    const tell = async (whom: Whom, event: { type: string; [field: string]: unknown }) => {
      const machine = whom === 'fabric' ? fleetMachine : swarmMachine;
      return await store.dispatch(machine, whom, event, { by: operatorId, trace_id: this.#newId() });
    };
    switch (command.do) {
      case 'allocate': {
        const { whom, budget_usd, per_hour_usd } = command;
        if (whom === 'fabric') return await budgets.allocateFleet(operatorId, { budget_usd, per_hour_usd });
        return await budgets.allocate(operatorId, { swarm_id: whom, budget_usd: budget_usd ?? 0, per_hour_usd });
      }
      case 'pause':
        return await tell(command.whom, { type: 'PAUSE', mode: command.mode, by: operatorId });
      case 'resume':
        return await tell(command.whom, { type: 'RESUME', by: operatorId });
      case 'reset':
        return command.whom === 'fabric' ? undefined : await tell(command.whom, { type: 'RESET' });
    }
    return undefined;
  }

  async #register(process: CoordinatorProcess, swarm_id: keyof typeof descriptions): Promise<unknown> {
    return await process.swarms.register(swarm_id, { ...descriptions[swarm_id], capabilities: [] });
  }

  /** The process that a client or a timer finds. */
  #alive(via: number): CoordinatorProcess {
    const { processes } = this;
    if (processes.every(({ alive }) => !alive)) this.restart();
    const found = processes[via % processes.length]!;
    return found.alive ? found : processes.find(({ alive }) => alive)!;
  }

  async #until<Result>(done: Promise<Result>): Promise<Result> {
    return await this.interleaving.until(done);
  }

  #newProcess(name: string): CoordinatorProcess {
    const { shared, interleaving, clock } = this;
    const [timers, registers] = [this.#timers, this.#registers];
    const { open_circuit_tasks } = this.#governance;
    const policy = { ...defaultPolicy, open_circuit_tasks, assign_timeout_ms: 1_500 };
    const newId = () => this.#newId();
    return new CoordinatorProcess({ name, shared, timers, registers, interleaving, clock, newId, policy });
  }

  #newId(): string {
    return `id-${++this.#ids}`;
  }
}

/** Errors of the table are outcomes; anything else is a fault of the fabric. */
async function outcomeOf(running: Promise<unknown>): Promise<Outcome> {
  try {
    return { kind: 'answered', answer: await running };
  } catch (error) {
    if (!(error instanceof FabricError) || error.code === 'INTERNAL') throw error;
    const { code, message } = error;
    return codes[code].effect === 'unknown' ? { kind: 'unknown' } : { kind: 'refused', code, message };
  }
}

/** What time does may come too late, and may not be answered; the sweep is the net. */
async function tolerant(running: Promise<unknown>): Promise<void> {
  await outcomeOf(running);
}
