/** What swarms do about themselves, and operators with swarms. Each method is one transaction of the store. */
import { formatRef, operatorId } from '../../../machines/address.ts';
import { sameJson, sameNames } from '../../../machines/equality.ts';
import type { Json } from '../../../machines/record.ts';
import type { SwarmContext, SwarmState } from '../../../machines/swarm/context.ts';
import { swarmMachine } from '../../../machines/swarm/machine.ts';
import { FabricError } from '../../../src/errors.ts';
import type { ActorStore, PlanView, Proposal, Send } from '../../../src/store/actor-store.ts';
import type { Lanes } from '../../../src/store/lanes.ts';
import type { ActorState } from '../../../src/store/reading.ts';
import { type SwarmView, swarmView } from './swarm-view.ts';

export interface Registration {
  readonly capabilities: string[];
  readonly cost_per_hour: number;
  readonly model?: string | null | undefined;
  readonly max_concurrent_tasks?: number | null | undefined;
  readonly metadata?: { [key: string]: Json } | undefined;
}

type Swarm = ActorState<SwarmContext>;

export class SwarmOperations {
  readonly #store: ActorStore;
  readonly #lanes: Lanes;
  readonly #newId: () => string;
  readonly #mayRaise: () => boolean;

  /** `mayRaise`: whether policy lets budgets be raised without asking a person. Default: it does. */
  constructor(options: { store: ActorStore; lanes: Lanes; newId: () => string; mayRaise?: () => boolean }) {
    this.#store = options.store;
    this.#mayRaise = options.mayRaise ?? (() => true);
    this.#lanes = options.lanes;
    this.#newId = options.newId;
  }

  /** The swarm describes itself and is online; the same description again changes nothing. @throws FabricError CAPABILITY_MISSING */
  async register(
    by: string,
    { capabilities, cost_per_hour, model = null, max_concurrent_tasks = null, metadata = {} }: Registration,
  ): Promise<SwarmView> {
    if (by === operatorId)
      throw new FabricError(
        'UNAUTHORIZED',
        'an operator is not a swarm; mint credentials for one with `infrafabric swarm creds ID`',
      );
    const described = { capabilities, cost_per_hour, model, max_concurrent_tasks, metadata };
    return await this.#change(by, by, 'presume', (swarm) => {
      const { registration, liveness } = stateOf(swarm);
      if (registration === 'registered' && liveness === 'online' && isDescribed(swarm.snapshot.context, described))
        return undefined;
      return { type: 'REGISTER', ...described };
    });
  }

  /** A sign of life. @throws FabricError SWARM_NOT_FOUND */
  async heartbeat(by: string): Promise<SwarmView> {
    return await this.#change(by, by, 'read', (swarm) =>
      stateOf(swarm).liveness === 'online' ? undefined : { type: 'ONLINE' },
    );
  }

  /** The swarm leaves; the coordinator then returns its tasks. Leaving twice is no error. @throws FabricError SWARM_NOT_FOUND */
  async unregister(by: string): Promise<SwarmView> {
    return await this.#change(by, by, 'read', (swarm) =>
      stateOf(swarm).registration === 'retired' ? undefined : { type: 'UNREGISTER' },
    );
  }

  /**
   * Prepares a swarm that may not have registered yet: grants add up, a budget replaces the one before.
   * @throws FabricError POLICY_VIOLATION where a person has to approve of the budget
   */
  async invite(
    by: string,
    swarm_id: string,
    invitation: { grants: string[]; budget_usd?: number | undefined },
  ): Promise<SwarmView> {
    const { grants, budget_usd } = invitation;
    return await this.#change(by, swarm_id, 'presume', ({ snapshot }) => {
      const { allocated_usd } = snapshot.context.budget;
      if (budget_usd !== undefined && budget_usd > allocated_usd && !this.#mayRaise())
        throw new FabricError(
          'POLICY_VIOLATION',
          `policy lets a budget be raised, here from ${allocated_usd} to ${budget_usd} dollars, only when a person approves ` +
            `of it; leave the budget out, then ask with \`infrafabric governor allocate ${swarm_id} --budget ${budget_usd}\``,
          { action: 'raise_budget' },
        );
      return { type: 'INVITE', grants, ...(budget_usd === undefined ? {} : { budget_usd }) };
    });
  }

  /** Takes every grant away, as when credentials are revoked. A swarm that never came is no error. */
  async revokeGrants(by: string, swarm_id: string): Promise<SwarmView | null> {
    const stored = await this.#store.read({ kind: swarmMachine.kind, id: swarm_id });
    if (!stored) return null;
    return await this.#change(by, swarm_id, 'read', (swarm) => {
      const { grants } = swarm.snapshot.context;
      return grants.length === 0 ? undefined : { type: 'REVOKE', capabilities: grants };
    });
  }

  /** @throws FabricError SWARM_NOT_FOUND */
  async get(swarm_id: string): Promise<SwarmView> {
    const stored = await this.#store.read({ kind: swarmMachine.kind, id: swarm_id });
    if (!stored) throw notFound(swarm_id);
    return swarmView(stored);
  }

  async #change(
    by: string,
    swarm_id: string,
    how: 'presume' | 'read',
    decide: (swarm: Swarm) => Send['event'] | undefined,
  ): Promise<SwarmView> {
    const plan = async (view: PlanView): Promise<Proposal<SwarmView>> => {
      const swarm =
        how === 'presume' ? await view.presumeAbsent(swarmMachine, swarm_id) : await view.get(swarmMachine, swarm_id);
      if (how === 'read' && !swarm.last) throw notFound(swarm_id);
      const event = decide(swarm);
      if (!event) return { answer: swarmView(swarm.last!) };
      return { send: [{ machine: swarmMachine, id: swarm_id, event }], answer: ([changed]) => swarmView(changed!) };
    };
    const lane = formatRef({ kind: swarmMachine.kind, id: swarm_id });
    return await this.#lanes.run(lane, async () => await this.#store.transact({ by, trace_id: this.#newId() }, plan));
  }
}

function stateOf(swarm: Swarm): SwarmState {
  return swarm.snapshot.value as SwarmState;
}

function notFound(swarm_id: string): FabricError {
  return new FabricError('SWARM_NOT_FOUND', `there is no swarm ${swarm_id}; it has to register first`);
}

function isDescribed(context: SwarmContext, described: Required<Registration>): boolean {
  return (
    sameNames(context.capabilities, described.capabilities) &&
    context.cost_per_hour === described.cost_per_hour &&
    context.model === described.model &&
    context.max_concurrent_tasks === described.max_concurrent_tasks &&
    sameJson(context.metadata, described.metadata ?? {})
  );
}
