/**
 * A circuit opens: a swarm fails three tasks in a row and is given no more, people are told once, and when an operator has
 * reset the circuit, the swarm claims again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { FabricClient } from '../bus/client.ts';
import { FabricError } from '../errors.ts';
import type { Notice } from '../store/mailbox-message.ts';
import { claim, claimed, outcomeOf } from './claims.ts';
import { escalations } from './operator-inbox.ts';
import type { Stage } from './stage.ts';

export interface CircuitTrip {
  readonly swarm_id: string;
  readonly task_ids: readonly string[];
  /** In a row, until the circuit opened. */
  readonly failures: number;
  /** The circuit after these failures, and what the next claim was answered. */
  readonly circuit: string;
  readonly refused_with: string;
  /** What people were told, and when, from the last failure; milliseconds. */
  readonly notice: Omit<Notice, 'id'>;
  readonly told_after_ms: number;
  /** The circuit after an operator has reset it, and what the next claim was answered. */
  readonly circuit_after_reset: string;
  readonly answered_after_reset: string;
  readonly reputation: { readonly before: number; readonly failed: number; readonly after: number };
  readonly ms: number;
}

const failingId = 'willow';
const taskIds = ['deploy-1', 'deploy-2', 'deploy-3'] as const;
const noticeWithinMs = 15_000;

interface SwarmSeen {
  readonly circuit: string;
  readonly reputation: number;
  readonly counters: { readonly consecutive_failures: number };
}

export async function tripCircuit({ client, admit, signal, progress }: Stage): Promise<CircuitTrip> {
  const begun = performance.now();
  const failing = await admit(failingId, { capabilities: ['devops:cd'], cost_per_hour: 0 });
  const seen = async () => await client.request<SwarmSeen>('swarm', 'get', { swarm_id: failingId });
  const before = await seen();
  for (const task_id of taskIds)
    await client.request('task', 'create', { task_id, task_type: 'deploy', requires: ['devops:cd'] });
  for (const task_id of taskIds) {
    const token = await claimed(failing, task_id);
    await failing.request('task', 'fail', { task_id, token, error: 'the deploy key is not accepted' });
  }
  const failedAt = performance.now();
  const failed = await seen();
  const refused_with = outcomeOf(await claim(failing, taskIds[0]));
  const notice = await noticeOf(client, signal);
  const told_after_ms = Math.round(performance.now() - failedAt);
  progress.say(`the circuit of ${failingId} is open, and the operator knows; resetting it`);

  await client.request('governor', 'reset_circuit', { swarm_id: failingId, reason: 'it has a new deploy key' });
  const reset = await seen();
  const answer = await claim(failing, taskIds[0]);
  if (answer.claimed) {
    for (const task_id of taskIds) {
      const token = task_id === taskIds[0] ? answer.token : await claimed(failing, task_id);
      await failing.request('task', 'complete', { task_id, token, result: { deployed: true } });
    }
  }
  return {
    swarm_id: failingId,
    task_ids: taskIds,
    failures: failed.counters.consecutive_failures,
    circuit: failed.circuit,
    refused_with,
    notice,
    told_after_ms,
    circuit_after_reset: reset.circuit,
    answered_after_reset: outcomeOf(answer),
    reputation: { before: before.reputation, failed: failed.reputation, after: (await seen()).reputation },
    ms: Math.round(performance.now() - begun),
  };
}

/** How often people were told that its circuit is open. */
export async function timesTold(client: FabricClient): Promise<number> {
  return (await escalations(client)).filter(isAboutCircuit).length;
}

async function noticeOf(client: FabricClient, signal: AbortSignal): Promise<Omit<Notice, 'id'>> {
  const until = performance.now() + noticeWithinMs;
  for (;;) {
    const notice = (await escalations(client)).find(isAboutCircuit);
    if (notice) return notice;
    signal.throwIfAborted();
    if (performance.now() > until)
      throw new FabricError(
        'TIMEOUT',
        `nobody was told within ${noticeWithinMs / 1_000} s that the circuit of ${failingId} is open; repeat the demo, and use --keep to look into its logs`,
      );
    await delay(10);
  }
}

function isAboutCircuit({ type, swarm_id }: Omit<Notice, 'id'>): boolean {
  return type === 'circuit_open' && swarm_id === failingId;
}
