/** A fabric in the process of a test, with a coordinator and a governor, and what tests ask of it again and again. */
import { jetstreamManager } from '@nats-io/jetstream';
import { Governor } from '../../actors/governor/governor.ts';
import type { ServiceSettings } from '../../actors/service.ts';
import { defaultPolicy, type GovernorPolicy } from '../../machines/policy/values.ts';
import type { FabricClient } from '../../src/bus/client.ts';
import { decodeMessage } from '../../src/store/mailbox-message.ts';
import { NatsTimers } from '../../src/store/nats-timers.ts';
import { startFabric, type TestFabric } from '../coordinator/in-process.ts';
import { freshId } from '../store/fixtures.ts';

export interface Governed {
  readonly fabric: TestFabric;
  readonly operator: FabricClient;
  readonly governor: Governor;
  readonly timers: NatsTimers;
  /** A further governor; stopped with the fabric. */
  another(): Promise<Governor>;
  /** A registered swarm, with a budget where one is named. */
  swarm(options?: { budget_usd?: number; capabilities?: string[]; cost_per_hour?: number }): Promise<Swarm>;
  /** A swarm owns a task and fails at it so often. */
  failures(swarm: Swarm, count: number): Promise<void>;
  /** The notices that the operator was sent, oldest first. */
  escalations(): Promise<Array<{ id: string; notice: Record<string, unknown> }>>;
  stop(): Promise<void>;
}

export interface Swarm {
  readonly id: string;
  readonly client: FabricClient;
}

export async function startGoverned(
  policy: Partial<GovernorPolicy> = {},
  others: Partial<ServiceSettings> = {},
): Promise<Governed> {
  const fabric = await startFabric();
  const settings: Partial<ServiceSettings> = { ...others, policy: { ...defaultPolicy, ...policy } };
  const governors: Governor[] = [];
  const another = async () => {
    const governor = await Governor.start(await fabric.context('governor', settings));
    governors.push(governor);
    return governor;
  };
  await fabric.coordinator(settings);
  const governor = await another();
  const operator = await fabric.client('operator');
  const { nc, namespace, log } = await fabric.context('reader');
  return {
    fabric,
    operator,
    governor,
    timers: new NatsTimers({ nc, namespace, log }),
    another,
    async swarm({ budget_usd, capabilities = [], cost_per_hour = 0 } = {}) {
      const id = freshId('s').toLowerCase().slice(0, 40);
      const client = await fabric.client(id);
      await client.request('swarm', 'register', { capabilities, cost_per_hour });
      if (budget_usd !== undefined) await operator.request('governor', 'allocate_budget', { swarm_id: id, budget_usd });
      return { id, client };
    },
    async failures({ client }, count) {
      for (let i = 0; i < count; i++) {
        const task_id = freshId('t');
        await operator.request('task', 'create', { task_id, task_type: 'build', max_attempts: 1 });
        const { token } = await client.request<{ token: number }>('task', 'claim', { task_id });
        await client.request('task', 'fail', { task_id, token, error: 'broken' });
      }
    },
    async escalations() {
      const jsm = await jetstreamManager(nc, { checkAPI: false });
      const { inboxStream } = namespace;
      const { state } = await jsm.streams.info(inboxStream);
      const found: Array<{ id: string; notice: Record<string, unknown> }> = [];
      for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
        const stored = await jsm.streams.getMessage(inboxStream, { seq });
        if (!stored?.subject.endsWith('.operator.escalation')) continue;
        const message = decodeMessage<unknown>(stored.data);
        if (message && message.type !== 'task') found.push({ id: message.id, notice: message.notice });
      }
      return found;
    },
    async stop() {
      for (const one of governors) await one.stop();
      await fabric.stop();
    },
  };
}
