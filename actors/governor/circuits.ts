/**
 * What follows from an open circuit: people are told once of each opening by failures or an exhausted budget, and after the
 * cool-down that policy names, a circuit that failures alone opened closes for one trial.
 */
import { operatorId } from '../../machines/address.ts';
import { remaining } from '../../machines/budget.ts';
import type { SwarmContext } from '../../machines/swarm/context.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import type { Notice, NoticeType } from '../../src/store/mailbox-message.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import type { Timer } from '../../src/store/timers.ts';
import type { KnownSwarm } from '../swarm-index/known-swarm.ts';
import type { GovernorPart, GovernorParts } from './part.ts';
import { changeSwarm } from './swarm-changes.ts';

export const cooldownTimer = 'circuit-cooldown';
/** The register that says of which opening of a swarm's circuit people were told. */
const toldRegister = 'circuit-told';
const toldForMs = 365 * 86_400_000;
/** A mailbox that refuses is tried again after this time, milliseconds. */
const refusedMs = 30_000;

export const governorName = 'IF.governor';

export interface CircuitParts extends GovernorParts {
  /** Resolves when the notice is stored; the same notice again, within two minutes, changes nothing. @throws FabricError */
  readonly deliver: (to: string, type: NoticeType, notice: Notice) => Promise<void>;
}

/** An opening of a swarm's circuit, and what people are to be told of it. */
interface Untold {
  readonly swarm_id: string;
  readonly opened_at: number | null;
  readonly notice: Notice;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
}

export class Circuits implements GovernorPart {
  readonly timers = [cooldownTimer];
  readonly #parts: CircuitParts;
  /** Swarms whose circuit is open, with the time for which a timer was set here. */
  readonly #open = new Map<string, { armedFor: number | undefined }>();
  /**
   * Openings of which people may not have been told, by the ids of their notices: as they were, since a circuit may close
   * for a trial, or be reset, before anybody was told.
   */
  readonly #untold = new Map<string, Untold>();
  /** Of open circuits, the opening of which people were told. */
  readonly #told = new Map<string, number | null>();
  #telling: Promise<void> | undefined;
  #stopped = false;

  constructor(parts: CircuitParts) {
    this.#parts = parts;
  }

  apply({ record }: StoredRecord): void {
    if (record.kind !== swarmMachine.kind) return;
    // What the record says may be older than what is known.
    const known = this.#parts.swarms.get(record.id);
    if (known?.state.circuit !== 'open') {
      this.#open.delete(record.id);
      this.#told.delete(record.id);
      return;
    }
    if (!this.#open.has(record.id)) this.#open.set(record.id, { armedFor: undefined });
    this.#arm(known);
    if (!isTripped(known.context)) return;
    const { circuit_opened_at } = known.context;
    if (this.#told.has(record.id) && this.#told.get(record.id) === circuit_opened_at) return;
    const notice = openedNotice(record.id, known.context);
    if (!this.#untold.has(notice.id))
      this.#untold.set(notice.id, { swarm_id: record.id, opened_at: circuit_opened_at, notice, notBefore: 0 });
    this.#tellAll();
  }

  async due({ id }: Timer): Promise<void> {
    await this.#try(id);
  }

  async sweep(): Promise<void> {
    this.#tellAll();
    for (const id of [...this.#open.keys()]) {
      const known = this.#parts.swarms.get(id);
      const from = known && this.#trialFrom(known);
      if (!known || from === undefined) continue;
      if (from <= this.#parts.clock.now()) await this.#try(id);
      else this.#arm(known);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#telling;
  }

  /** When the circuit closes for a trial, milliseconds since 1970; undefined: not by itself. */
  #trialFrom({ state, context }: Pick<KnownSwarm, 'state' | 'context'>): number | undefined {
    const cooldown_ms = this.#parts.policy.current.circuit_breaker_cooldown_ms;
    const { circuit_reasons, circuit_opened_at } = context;
    if (cooldown_ms === null || state.registration !== 'registered') return undefined;
    if (circuit_opened_at === null || circuit_reasons.join() !== 'failures') return undefined;
    return circuit_opened_at + cooldown_ms;
  }

  /** Sets the timer; the sweep is there for the one that is lost. */
  #arm(known: KnownSwarm): void {
    const { timers, log } = this.#parts;
    const { swarm_id } = known;
    const at = this.#trialFrom(known);
    const open = this.#open.get(swarm_id);
    if (at === undefined || !open || open.armedFor === at) return;
    open.armedFor = at;
    timers.set({ what: cooldownTimer, id: swarm_id, at }).catch((error: unknown) => {
      log.warn({ err: error, swarm_id }, 'the timer of a cool-down was not set');
    });
  }

  async #try(swarm_id: string): Promise<void> {
    const known = this.#parts.swarms.get(swarm_id);
    if (!known) return;
    await changeSwarm(this.#parts, governorName, swarm_id, ({ state, context, now }) => {
      const from = this.#trialFrom({ state, context });
      const cooldown_ms = this.#parts.policy.current.circuit_breaker_cooldown_ms;
      if (from === undefined || cooldown_ms === null || now < from) return undefined;
      return { type: 'RESET', trial: true, cooldown_ms };
    });
  }

  /** One after the other, so that many at a start ask little at a time. */
  #tellAll(): void {
    if (this.#stopped) return;
    this.#telling ??= this.#tellUntold().finally(() => {
      this.#telling = undefined;
    });
  }

  async #tellUntold(): Promise<void> {
    const { clock, log } = this.#parts;
    for (const [id, untold] of this.#untold) {
      if (this.#stopped) return;
      if (untold.notBefore > clock.now()) continue;
      const { swarm_id, opened_at } = untold;
      try {
        await this.#tell(untold);
        this.#untold.delete(id);
        if (this.#open.has(swarm_id)) this.#told.set(swarm_id, opened_at);
      } catch (error) {
        this.#untold.set(id, { ...untold, notBefore: clock.now() + refusedMs });
        log.warn({ err: error, swarm_id }, 'people were not told yet of an open circuit');
      }
    }
  }

  async #tell({ swarm_id, opened_at, notice }: Untold): Promise<void> {
    const { registers, deliver } = this.#parts;
    const told = await registers.read(toldRegister, swarm_id);
    if (told?.value === opened_at) return;
    await deliver(operatorId, 'escalation', notice);
    // Another governor may have told the same; whoever comes to it is content.
    await registers.change(toldRegister, swarm_id, opened_at, toldForMs, told?.revision ?? 0);
  }
}

/** Open for more than an operator's own pause. */
function isTripped({ circuit_reasons }: SwarmContext): boolean {
  return circuit_reasons.some((reason) => reason !== 'paused');
}

function openedNotice(swarm_id: string, context: SwarmContext): Notice {
  const { circuit_reasons, circuit_opened_at, counters, budget } = context;
  return {
    id: `circuit.${swarm_id}.${circuit_opened_at}`,
    type: 'circuit_open',
    swarm_id,
    reasons: circuit_reasons,
    opened_at: circuit_opened_at,
    consecutive_failures: counters.consecutive_failures,
    allocated_usd: budget.allocated_usd,
    spent_usd: budget.spent_usd,
    overrun_usd: budget.overrun_usd,
    remaining_usd: remaining(budget),
  };
}
