/**
 * The services that `up` runs, each in a process of its own under the supervisor. The processes are launched before there
 * is anything to do for them, since loading their code takes most of their start; instructions let them begin.
 */
import type { Config } from '../../src/config/settings.ts';
import type { Supervisor } from '../supervisor/supervisor.ts';
import { type Instructions, serviceChild } from './service-child.ts';

const witnessId = 'witness';
/** Longer than the witness takes to store what it has received, milliseconds. */
const abandonedMs = 1_000;

/** Instructions that are not known yet. */
class Later {
  readonly value: Promise<Instructions>;
  settle: (instructions: Instructions) => void = () => {};

  constructor() {
    this.value = new Promise((resolve) => {
      this.settle = resolve;
    });
  }
}

export class FabricServices {
  readonly #supervisor: Supervisor;
  readonly #config: Config;
  #forWitness = new Later();
  #forOthers = new Later();
  #running: Promise<unknown> = Promise.resolve();

  constructor(supervisor: Supervisor, config: Config) {
    this.#supervisor = supervisor;
    this.#config = config;
  }

  /** Launches the processes, which wait for their instructions. */
  launch(): void {
    const { coordinators, data_dir } = this.#config;
    const witness = new Later();
    const others = new Later();
    this.#forWitness = witness;
    this.#forOthers = others;
    const supervise = async (service: string, id: string, instructions: Later) =>
      await this.#supervisor.supervise(id, serviceChild(service, id, data_dir, instructions.value));
    this.#running = Promise.all([
      supervise('witness', witnessId, witness),
      ...Array.from({ length: coordinators }, async (_, i) => {
        await supervise('coordinator', `coordinator-${i + 1}`, others);
      }),
      supervise('governor', 'governor', others),
    ]);
    this.#running.catch(() => {});
  }

  /** Lets the witness begin, before the others. */
  beginWitness(instructions: Instructions): void {
    this.#forWitness.settle(instructions);
  }

  /** Resolves when all of them answer; rejects when one of them is given up. */
  async begin(instructions: Instructions): Promise<void> {
    this.#forWitness.settle(instructions);
    this.#forOthers.settle(instructions);
    await this.#running;
  }

  /** Ends all of them at once: their log is gone, and what it told the witness is stored by now, or soon. */
  async abandon(): Promise<void> {
    await this.#supervisor.abandon(abandonedMs);
  }

  /** Ends all of them: the witness last, so that it takes in what the others did. */
  async stop(): Promise<void> {
    await this.#supervisor.stop((id) => id !== witnessId);
    await this.#supervisor.stop();
  }
}
