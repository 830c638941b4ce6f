/**
 * Swarms that live in the process of the demo, beside the workers: each joins with minted credentials of its own, over a
 * connection of its own, and speaks to the fabric as any other swarm does.
 */
import type { FabricClient } from '../bus/client.ts';
import type { Identity } from '../identity/identity.ts';
import { join, type Membership } from '../sdk/join.ts';
import type { Registration } from '../sdk/worker.ts';

export interface Whereabouts {
  readonly servers: readonly string[];
  readonly namespace: string;
}

export class Guests {
  readonly #identity: Identity;
  readonly #where: Whereabouts;
  readonly #memberships = new Set<Promise<Membership>>();

  constructor(identity: Identity, where: Whereabouts) {
    this.#identity = identity;
    this.#where = where;
  }

  /** Joins and registers a swarm. @throws FabricError as `join` and `swarm.register` do */
  async admit(swarm_id: string, registration: Registration): Promise<FabricClient> {
    const joining = this.#join(swarm_id);
    this.#memberships.add(joining);
    const { client } = await joining;
    await client.request('swarm', 'register', { ...registration });
    return client;
  }

  /** Ends all connections, also those that are still being made. */
  async close(): Promise<void> {
    for (const joining of this.#memberships) {
      // Whoever could not join need not leave.
      const membership = await joining.catch(() => undefined);
      await membership?.close();
    }
  }

  async #join(swarm_id: string): Promise<Membership> {
    return await join({ ...this.#where, creds: await this.#identity.mintSwarm(swarm_id) });
  }
}
