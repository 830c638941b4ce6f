/** What operators do with one swarm: capabilities, its circuit, and a pause. */
import { formatRef } from '../../machines/address.ts';
import type { PauseMode } from '../../machines/pause.ts';
import type { SwarmContext } from '../../machines/swarm/context.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { FabricError } from '../../src/errors.ts';
import type { PlanView, Send } from '../../src/store/actor-store.ts';
import { type SwarmView, swarmView } from '../coordinator/swarms/swarm-view.ts';
import { type GatedParts, throughGate } from './approval-gate.ts';
import { type Change, changeSwarm, type Offered, seeSwarm, toSwarm, unknownSwarm } from './swarm-changes.ts';

export interface PauseWish {
  readonly mode: PauseMode;
  readonly reason?: string | undefined;
}

export class SwarmControls {
  readonly #parts: GatedParts;

  constructor(parts: GatedParts) {
    this.#parts = parts;
  }

  /** Grants add up; they may precede registration. */
  async grant(by: string, swarm_id: string, capabilities: readonly string[]): Promise<SwarmView> {
    return await this.#change(
      by,
      swarm_id,
      ({ exists, context }) =>
        exists && capabilities.every((name) => context.grants.includes(name))
          ? undefined
          : { type: 'GRANT', capabilities },
      { mayBeNew: true },
    );
  }

  /** Takes capabilities away, whether they were granted or declared. @throws FabricError SWARM_NOT_FOUND */
  async revoke(by: string, swarm_id: string, capabilities: readonly string[]): Promise<SwarmView> {
    return await this.#change(by, swarm_id, ({ context }) => {
      const has = (name: string) => context.grants.includes(name) || context.capabilities.includes(name);
      return capabilities.some(has) ? { type: 'REVOKE', capabilities } : undefined;
    });
  }

  /** The swarm claims nothing until it is resumed. @throws FabricError SWARM_NOT_FOUND */
  async pause(by: string, swarm_id: string, { mode, reason }: PauseWish): Promise<SwarmView> {
    return await this.#change(by, swarm_id, ({ context }) => {
      const { pause } = context;
      const isSo = isPaused(context) && pause?.mode === mode && pause.reason === (reason ?? null);
      return isSo ? undefined : { type: 'PAUSE', mode, by, ...(reason === undefined ? {} : { reason }) };
    });
  }

  /** Ends a pause or a drain; what else keeps the circuit open stays. @throws FabricError SWARM_NOT_FOUND */
  async resume(by: string, swarm_id: string): Promise<SwarmView> {
    return await this.#change(by, swarm_id, ({ context }) => (isPaused(context) ? { type: 'RESUME' } : undefined));
  }

  /**
   * Closes a circuit that failures opened.
   * @throws FabricError SWARM_NOT_FOUND, CONFLICT (paused), BUDGET_EXHAUSTED, POLICY_VIOLATION until a person approves
   */
  async resetCircuit(by: string, swarm_id: string, reason?: string): Promise<SwarmView> {
    const target = formatRef({ kind: swarmMachine.kind, id: swarm_id });
    const wish = { action: 'reset_circuit', target, request: { swarm_id }, by, reason } as const;
    return await throughGate(this.#parts, target, wish, async (view) => {
      const send = await planReset(view, swarm_id);
      if (send.length === 0) return { guarded: false, answer: swarmView((await seeSwarm(view, swarm_id)).last!) };
      return { guarded: true, send, answer: ([changed]) => swarmView(changed!) };
    });
  }

  async #change(
    by: string,
    swarm_id: string,
    change: Change,
    options: { readonly mayBeNew?: boolean } = {},
  ): Promise<SwarmView> {
    return swarmView(await changeSwarm(this.#parts, by, swarm_id, change, options));
  }
}

/** What resets a circuit, for whoever commits it together with something else. @throws FabricError as `resetCircuit` */
export async function planReset(view: PlanView, swarm_id: string): Promise<Send[]> {
  const { exists, context } = await seeSwarm(view, swarm_id);
  if (!exists) throw unknownSwarm(swarm_id);
  const event = resetOf(swarm_id, context);
  return event ? [toSwarm(swarm_id, event)] : [];
}

/** Undefined where the circuit is closed for good. A trial is made a full reset. */
function resetOf(swarm_id: string, context: SwarmContext): Offered<{ type: 'RESET'; at: number }> | undefined {
  const reasons = context.circuit_reasons;
  if (reasons.length === 0 && !context.on_trial) return undefined;
  if (reasons.length > 0 && reasons.every((reason) => reason === 'paused')) {
    throw new FabricError(
      'CONFLICT',
      `the circuit of ${swarm_id} is open by a pause only, which a reset does not end; resume it`,
      { circuit_reasons: reasons },
    );
  }
  return { type: 'RESET' };
}

function isPaused(context: SwarmContext): boolean {
  return context.circuit_reasons.includes('paused');
}
