/**
 * How one process reaches what all share: each access takes a turn, an answer may be lost with or without the write
 * having taken effect, or long before it does, and the process may die right before or right after a write.
 */
import { FabricError } from '../../src/errors.ts';
import type { Interleaving } from './interleaving.ts';

export const faults = [
  'dies before the write',
  'dies after the write',
  'write applied, answer lost',
  'write lost',
  'write applied later, answer lost',
  'read fails',
] as const;

export type Fault = (typeof faults)[number];

export class Reach {
  /** Resolves when the process dies. */
  readonly death: Promise<'dead'>;
  readonly #name: string;
  readonly #interleaving: Interleaving;
  #armed: { fault: Fault; after: number } | undefined;
  #died: (dead: 'dead') => void = () => {};
  #dead = false;

  constructor(name: string, interleaving: Interleaving) {
    this.#name = name;
    this.#interleaving = interleaving;
    this.death = new Promise((resolve) => {
      this.#died = resolve;
    });
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** The access that is hit by the fault, of those that it can hit: 0 is the next. */
  arm(fault: Fault, after: number): void {
    this.#armed = { fault, after };
  }

  disarm(): void {
    this.#armed = undefined;
  }

  /** From now on nothing that the process began goes on. */
  die(): void {
    this.#dead = true;
    this.#died('dead');
  }

  /** @throws FabricError UNAVAILABLE */
  async read<Answer>(what: string, ask: () => Promise<Answer>): Promise<Answer> {
    await this.turn(`reads ${what}`);
    if (this.#hits(true)) throw new FabricError('UNAVAILABLE', `${what} could not be read; try again`);
    const answer = await ask();
    await this.turn('is answered');
    return answer;
  }

  /** @throws FabricError UNAVAILABLE: it took effect, or will, or not */
  async write<Answer>(what: string, apply: () => Promise<Answer>): Promise<Answer> {
    await this.turn(`writes ${what}`);
    const fault = this.#hits(false);
    if (fault === 'dies before the write') return await this.#death();
    if (fault === 'write lost') throw unknown(what);
    if (fault === 'write applied later, answer lost') {
      void this.#interleaving.turn(`a late write of ${this.#name}`).then(apply);
      throw unknown(what);
    }
    const answer = await apply();
    if (fault === 'dies after the write') return await this.#death();
    if (fault === 'write applied, answer lost') throw unknown(what);
    await this.turn('is answered');
    return answer;
  }

  /** A dead process never gets one. */
  async turn(label: string): Promise<void> {
    if (!this.#dead) await this.#interleaving.turn(`${this.#name} ${label}`);
    if (this.#dead) await new Promise(() => {});
  }

  async #death(): Promise<never> {
    this.die();
    return await new Promise(() => {});
  }

  #hits(isRead: boolean): Fault | undefined {
    const armed = this.#armed;
    if (!armed || (armed.fault === 'read fails') !== isRead) return undefined;
    if (armed.after-- > 0) return undefined;
    this.#armed = undefined;
    return armed.fault;
  }
}

function unknown(what: string): FabricError {
  return new FabricError('UNAVAILABLE', `whether this was written is not known: ${what}`);
}
