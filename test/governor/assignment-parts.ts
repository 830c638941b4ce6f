/** A governed fabric, swarms that its governors know, and what tests ask of it about the assignment of tasks. */
import { jetstreamManager } from '@nats-io/jetstream';
import type { TaskView } from '../../actors/coordinator/tasks/task-view.ts';
import type { Governor } from '../../actors/governor/governor.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import type { FabricClient } from '../../src/bus/client.ts';
import { decodeMessage } from '../../src/store/mailbox-message.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { freshId } from '../store/fixtures.ts';
import { until } from '../support/temp.ts';
import { type Governed, startGoverned } from './governing.ts';

export interface Worker {
  readonly id: string;
  readonly client: FabricClient;
}

export interface Assigned {
  readonly to: string | null;
  readonly until: number;
  readonly reason: string;
}

/** A capability of this test alone, so that swarms of other tests do not qualify. */
export const skill = (): string => freshId('skill');

export const claim = async ({ client }: Worker, task_id: string) =>
  await client.request<{ claimed: boolean; reason?: string; token: number }>('task', 'claim', { task_id });

/** For whom a governor knows the task to be kept. */
export function keptFor(core: Governor['core'], task_id: string): string | null | undefined {
  const stored = core.store.residents.get({ kind: 'task', id: task_id })?.stored;
  return (stored?.record.snapshot.context as TaskContext | undefined)?.assignment?.to;
}

export class AssignmentWorld {
  readonly governed: Governed;
  /** Those that run. */
  governors: Governor[];

  constructor(governed: Governed) {
    this.governed = governed;
    this.governors = [governed.governor];
  }

  async worker(requires: string[], cost_per_hour: number, max_concurrent_tasks?: number): Promise<Worker> {
    const id = freshId('w').toLowerCase();
    const client = await this.governed.fabric.client(id);
    const limits = max_concurrent_tasks === undefined ? {} : { max_concurrent_tasks };
    await client.request('swarm', 'register', { capabilities: requires, cost_per_hour, ...limits });
    await until('the governors know it', () => this.governors.every(({ core }) => core.swarms.get(id)?.able === true));
    return { id, client };
  }

  async create(fields: Record<string, unknown>): Promise<string> {
    const task_id = freshId('t');
    await this.governed.operator.request('task', 'create', { task_id, task_type: 'build', ...fields });
    return task_id;
  }

  async get(task_id: string): Promise<TaskView> {
    return await this.governed.operator.request<TaskView>('task', 'get', { task_id });
  }

  async assignedTo(task_id: string, to: string | null): Promise<void> {
    await until(`it is assigned to ${to}`, async () => {
      const { assignment } = await this.get(task_id);
      return assignment?.reason !== null && assignment?.to === to;
    });
  }

  async history(kind: string, id: string): Promise<StoredRecord[]> {
    const { nc, namespace } = await this.governed.fabric.context('reader');
    const found: StoredRecord[] = [];
    for await (const stored of new NatsRecordLog(nc, namespace).history({ kind, id })) found.push(stored);
    return found;
  }

  async assignments(task_id: string): Promise<Assigned[]> {
    const events = (await this.history('task', task_id)).map(({ record }) => record.event);
    return events.filter(({ type }) => type === 'ASSIGN') as unknown as Assigned[];
  }

  /** Ids of the tasks in a swarm's mailbox. */
  async mailed(to: string): Promise<string[]> {
    const { nc, namespace } = await this.governed.fabric.context('reader');
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    const { state } = await jsm.streams.info(namespace.inboxStream);
    const found: string[] = [];
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const stored = await jsm.streams.getMessage(namespace.inboxStream, { seq });
      const message = stored?.subject === namespace.mailboxSubject(to, 'task') ? decodeMessage(stored.data) : undefined;
      if (message?.type === 'task') found.push((message.task as TaskView).task_id);
    }
    return found;
  }
}

/** With one governor, as `startGoverned` does. */
export async function startAssigning(...parts: Parameters<typeof startGoverned>): Promise<AssignmentWorld> {
  return new AssignmentWorld(await startGoverned(...parts));
}
