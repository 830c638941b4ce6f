/**
 * The timers that notice when a swarm falls silent. Every request is a sign of life, and most cost nothing: the timer is
 * set somewhat later than it must be, and again only when a sign needs it later than that. Several processes share one
 * timer for each swarm; none ever sets it earlier than another needs it.
 */
import type { Json } from '../../../machines/record.ts';
import type { Clock } from '../../../src/clock.ts';
import type { Log } from '../../../src/log.ts';
import type { Timers } from '../../../src/store/timers.ts';

/** The kind of the timer; its data is `{seen_at}`, the sign of life that set it. */
export const livenessTimer = 'swarm-liveness';

interface Signs {
  /** The latest in this process, milliseconds since 1970. */
  seenAt: number;
  /** When the timer is due, as far as this process knows. */
  armedUntil: number;
  revision: number;
  arming: Promise<void> | undefined;
  /** The timer was found to be gone since it was last set, or looked at, from here. */
  gone: boolean;
}

export interface SignsOfLifeOptions {
  readonly timers: Pick<Timers, 'get' | 'replace'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly livenessMs: number;
}

/** Processes that set the same timer at once take few turns. */
const mostTurns = 10;

export class SignsOfLife {
  readonly #options: SignsOfLifeOptions;
  /** How much later than needed a timer is set: how seldom it is set, milliseconds. */
  readonly #slack: number;
  /** One entry for each registered swarm that this process heard. */
  readonly #signs = new Map<string, Signs>();
  #stopped = false;

  constructor(options: SignsOfLifeOptions) {
    this.#options = options;
    this.#slack = Math.min(Math.max(options.livenessMs / 10, 250), 3_000);
  }

  /** The latest sign of life in this process, milliseconds since 1970; 0 when there was none. */
  seenAt(swarm_id: string): number {
    return this.#signs.get(swarm_id)?.seenAt ?? 0;
  }

  /** When the timer of this swarm is due, as far as this process knows; 0 when it does not. */
  armedUntil(swarm_id: string): number {
    return this.#signs.get(swarm_id)?.armedUntil ?? 0;
  }

  /** A sign of life, now. */
  seen(swarm_id: string): void {
    const { clock, livenessMs } = this.#options;
    const signs = this.#of(swarm_id);
    signs.seenAt = clock.now();
    if (signs.armedUntil < signs.seenAt + livenessMs) this.#arm(swarm_id, signs);
  }

  /** The timer is known to be gone; it is set for the latest sign. */
  rearm(swarm_id: string): void {
    const signs = this.#of(swarm_id);
    signs.armedUntil = 0;
    signs.gone = true;
    this.#arm(swarm_id, signs);
  }

  forget(swarm_id: string): void {
    this.#signs.delete(swarm_id);
  }

  /** Sets no further timers, and waits for those that are being set. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#signs.values()].map(({ arming }) => arming));
  }

  #of(swarm_id: string): Signs {
    const present = this.#signs.get(swarm_id);
    if (present) return present;
    const signs: Signs = { seenAt: 0, armedUntil: 0, revision: 0, arming: undefined, gone: false };
    this.#signs.set(swarm_id, signs);
    return signs;
  }

  #arm(swarm_id: string, signs: Signs): void {
    if (signs.arming || this.#stopped) return;
    signs.arming = this.#setTimer(swarm_id, signs)
      .catch((error: unknown) => {
        // The next sign tries again; until then the timer that was set before counts.
        this.#options.log.warn({ err: error, swarm_id }, 'the timer of a swarm was not set');
      })
      .finally(() => {
        signs.arming = undefined;
        if (signs.gone && this.#signs.get(swarm_id) === signs) this.#arm(swarm_id, signs);
      });
  }

  async #setTimer(id: string, signs: Signs): Promise<void> {
    const { timers, livenessMs } = this.#options;
    for (let turn = 0; turn < mostTurns && signs.armedUntil < signs.seenAt + livenessMs; turn++) {
      const seen_at = signs.seenAt;
      const at = seen_at + livenessMs + this.#slack;
      const data: Json = { seen_at };
      signs.gone = false;
      const revision = await timers.replace({ what: livenessTimer, id, at, data }, signs.revision);
      // Where it was found gone meanwhile, what is confirmed here may have gone with it.
      if (revision !== undefined && !signs.gone) {
        signs.revision = revision;
        signs.armedUntil = at;
        continue;
      }
      signs.gone = false;
      const pending = await timers.get(livenessTimer, id);
      signs.revision = pending?.revision ?? 0;
      signs.armedUntil = signs.gone ? 0 : (pending?.at ?? 0);
    }
  }
}
