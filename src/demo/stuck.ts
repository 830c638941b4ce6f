/**
 * A swarm gets stuck: it says what it lacks, the swarms that can help best are asked through their mailboxes, one declines
 * and the next best is asked in its place. With their help the task goes on where it was.
 */
import type { Helper } from '../../machines/blocker/context.ts';
import type { FabricClient } from '../bus/client.ts';
import { answerHelp, type HelpAnswer } from '../sdk/help.ts';
import type { Registration } from '../sdk/worker.ts';
import { claimed } from './claims.ts';
import { MailboxReaders } from './mailbox-readers.ts';
import type { Stage } from './stage.ts';

/** A swarm that was asked: in the commit of the report, or later in place of another. */
export interface AskedHelper extends Pick<Helper, 'swarm_id' | 'answer' | 'reason'> {
  readonly cost_per_hour: number | null;
  readonly at_once: boolean;
  /** When it had the call, from the report; milliseconds. */
  readonly asked_after_ms: number | null;
}

export interface Stuck {
  readonly task_id: string;
  readonly swarm_id: string;
  readonly blocker_id: string;
  readonly required_capabilities: readonly string[];
  /** In the order in which they were asked. */
  readonly helpers: readonly AskedHelper[];
  /** Swarms that have some of the capabilities, but too few of them to be asked. */
  readonly not_asked: ReadonlyArray<{
    readonly swarm_id: string;
    readonly cost_per_hour: number;
    readonly capabilities: number;
  }>;
  readonly resolved_by: string | null;
  /** Until the swarm knew that it can go on, and until it had completed the task; from the report, milliseconds. */
  readonly resolved_after_ms: number;
  readonly completed_after_ms: number;
}

export const stuckTaskId = 'publish-docs';
const stuckId = 'quill';
const required = ['infra:storage', 'network:tls', 'security:secrets'];

/** Who might help, at which price, and what it answers. The last one is the cheapest, but has too few of the capabilities. */
const candidates: ReadonlyArray<{ id: string; registration: Registration; answer: HelpAnswer }> = [
  { id: 'raven', registration: { capabilities: required, cost_per_hour: 0.5 }, answer: { decline: 'busy elsewhere' } },
  { id: 'sable', registration: { capabilities: required, cost_per_hour: 1 }, answer: 'join' },
  { id: 'tulip', registration: { capabilities: required, cost_per_hour: 2 }, answer: 'join' },
  { id: 'umber', registration: { capabilities: required.slice(1), cost_per_hour: 0.25 }, answer: 'join' },
];
/** As many as policy allows beside the blocked swarm. */
const helpersWanted = 2;

interface Reported {
  readonly blocker_id: string;
  readonly helpers: readonly string[];
}

interface BlockerSeen {
  readonly helpers: readonly Helper[];
  readonly resolved_by: string | null;
}

export async function getStuck({ client, admit, signal, progress }: Stage): Promise<Stuck> {
  const [stuck, ...helpers] = await Promise.all([
    admit(stuckId, { capabilities: ['docs:reference'], cost_per_hour: 1 }),
    ...candidates.map(async ({ id, registration }) => await admit(id, registration)),
  ]);
  const readers = new MailboxReaders(signal);
  try {
    const calls = onCall(readers, helpers);
    const freed = resolution(readers, stuck);
    const requires = ['docs:reference'];
    await client.request('task', 'create', { task_id: stuckTaskId, task_type: 'publish', requires });
    const token = await claimed(stuck, stuckTaskId);
    const at = performance.now();
    const { blocker_id, helpers: first } = await stuck.request<Reported>('blocker', 'report', {
      task_id: stuckTaskId,
      token,
      type: 'access',
      description: 'the server of the documentation is not trusted any more: its certificate has expired',
      severity: 'high',
      required_capabilities: required,
    });
    progress.say(`${stuckId} is stuck with ${stuckTaskId}; those who can help are asked`);
    const [helper] = await readers.whileReading(calls.joined);
    await helper!.request('blocker', 'resolve', { blocker_id, resolution: 'the certificate was renewed' });
    await readers.whileReading(freed);
    const resolvedAt = performance.now();
    await stuck.request('task', 'complete', { task_id: stuckTaskId, token, result: { published: true } });
    const completedAt = performance.now();
    const blocker = await client.request<BlockerSeen>('blocker', 'get', { blocker_id });
    return {
      task_id: stuckTaskId,
      swarm_id: stuckId,
      blocker_id,
      required_capabilities: required,
      helpers: blocker.helpers.map(({ swarm_id, answer, reason, why }) => {
        const calledAt = calls.called.get(swarm_id);
        const asked_after_ms = calledAt === undefined ? null : Math.round(calledAt - at);
        const at_once = first.includes(swarm_id);
        return { swarm_id, answer, reason, cost_per_hour: why?.cost_per_hour ?? null, at_once, asked_after_ms };
      }),
      not_asked: candidates
        .filter(({ id }) => !calls.called.has(id))
        .map(({ id, registration: { capabilities, cost_per_hour } }) => {
          return { swarm_id: id, cost_per_hour, capabilities: capabilities.length };
        }),
      resolved_by: blocker.resolved_by,
      resolved_after_ms: Math.round(resolvedAt - at),
      completed_after_ms: Math.round(completedAt - at),
    };
  } finally {
    await readers.end();
  }
}

interface Calls {
  /** When each had the call, by `performance.now()`. */
  readonly called: ReadonlyMap<string, number>;
  /** As many as are wanted, in the order in which they joined. */
  readonly joined: Promise<readonly FabricClient[]>;
}

/** The candidates answer what they find in their mailboxes. */
function onCall(readers: MailboxReaders, helpers: readonly FabricClient[]): Calls {
  const called = new Map<string, number>();
  const helping: FabricClient[] = [];
  const joined = new Promise<readonly FabricClient[]>((resolve) => {
    for (const [i, helper] of helpers.entries()) {
      const { id, answer } = candidates[i]!;
      readers.read(helper, async (message) => {
        const helps = await answerHelp(helper, message, () => {
          called.set(id, performance.now());
          return answer;
        });
        if (helps && helping.push(helper) === helpersWanted) resolve(helping);
      });
    }
  });
  return { called, joined };
}

/** Resolves when the swarm is told that it is stuck no more. */
async function resolution(readers: MailboxReaders, stuck: FabricClient): Promise<void> {
  await new Promise<void>((resolve) => {
    readers.read(stuck, (message) => {
      if (message.type === 'control' && message.notice['type'] === 'blocker_resolved') resolve();
    });
  });
}
