/** Mailboxes on a real cluster, without the rest of a coordinator: tasks and swarms are what a test says they are. */
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/nats-core';
import pino from 'pino';
import { Mailboxes, type MailboxesOptions } from '../../actors/coordinator/mailboxes/mailboxes.ts';
import { pushRequests } from '../../actors/coordinator/mailboxes/push-requests.ts';
import type { SwarmView } from '../../actors/coordinator/swarms/swarm-view.ts';
import type { TaskView } from '../../actors/coordinator/tasks/task-view.ts';
import { FabricClient } from '../../src/bus/client.ts';
import { Responder } from '../../src/bus/responder.ts';
import { FabricError } from '../../src/errors.ts';
import { type MailboxGate, openMailboxGate } from '../../src/identity/mailbox-gate.ts';
import { ensureMailbox } from '../../src/store/streams.ts';
import { withStreams } from '../store/fixtures.ts';
import { startTestCluster, type TestCluster } from '../support/cluster.ts';
import { until } from '../support/temp.ts';

export interface MailboxFabric {
  readonly cluster: TestCluster;
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly mailboxes: Mailboxes;
  /** Those of another process. */
  another(nc: NatsConnection): Mailboxes;
  /** What `task.get` knows; a test changes it as it likes. */
  readonly tasks: Map<string, TaskView>;
  /** Registers a swarm and connects as it. */
  swarm(id: string): Promise<FabricClient>;
  /** What the stream of the mailboxes holds. */
  messages(): Promise<number>;
  stop(): Promise<void>;
}

export const log = pino({ level: process.env['TEST_LOG'] ?? 'silent' });

export async function startMailboxes(nodes: 1 | 3): Promise<MailboxFabric> {
  const cluster = await startTestCluster({ nodes });
  const { namespace, identity } = cluster;
  const nc = await withStreams(cluster, nodes);
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const tasks = new Map<string, TaskView>();
  const registrations = new Map<string, string>();
  const facts: Pick<MailboxesOptions, 'createTask' | 'getTask' | 'getSwarm'> = {
    async createTask(_, task) {
      const made = tasks.get(task.task_id) ?? taskOf(task.task_id, { metadata: task.metadata ?? {} });
      tasks.set(task.task_id, made);
      return await Promise.resolve(made);
    },
    async getTask(task_id) {
      const task = tasks.get(task_id);
      if (!task) throw new FabricError('TASK_NOT_FOUND', `there is no task ${task_id}`);
      return await Promise.resolve(task);
    },
    async getSwarm(swarm_id) {
      const registration = registrations.get(swarm_id);
      if (!registration) throw new FabricError('SWARM_NOT_FOUND', `there is no swarm ${swarm_id}`);
      return await Promise.resolve({ swarm_id, registration } as SwarmView);
    },
  };
  const another = (connection: NatsConnection) => new Mailboxes({ nc: connection, jsm, namespace, log, ...facts });
  const mailboxes = another(nc);
  registrations.set('retired', 'retired');
  const responder = new Responder({ nc, namespace, service: 'task', operations: { ...pushRequests(mailboxes) }, log });
  const gate: MailboxGate = openMailboxGate(nc, namespace);
  await ensureMailbox(jsm, namespace, 'operator');
  await nc.flush();
  return {
    cluster,
    nc,
    jsm,
    mailboxes,
    another,
    tasks,
    async swarm(id) {
      registrations.set(id, 'registered');
      await ensureMailbox(jsm, namespace, id);
      const client = new FabricClient({
        nc: await cluster.connect(await identity.mintSwarm(id)),
        namespace,
        callerId: id,
      });
      await until('the service answers', async () => {
        const error = await client.request('task', 'push', {}).catch((failure: FabricError) => failure);
        return error instanceof FabricError && error.code === 'INVALID_REQUEST';
      });
      return client;
    },
    messages: async () => (await jsm.streams.info(namespace.inboxStream)).state.messages,
    async stop() {
      await responder.drain();
      await mailboxes.stop();
      await gate.close();
      await cluster.stop();
    },
  };
}

export function taskOf(task_id: string, fields: Partial<TaskView> = {}): TaskView {
  const task = { task_id, task_type: 'build', state: 'available', owner: null, n: 1, revision: 1, metadata: {} };
  return { ...task, trace_id: `trace-of-${task_id}`, result: null, error: null, ...fields } as TaskView;
}
