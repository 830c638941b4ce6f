/**
 * Messages of an audited stream as the coordinator writes them: tasks that are created, claimed, started and completed,
 * decided by the task's machine. The same numbers give the same messages, so that a run can be repeated.
 */
import { createHash } from 'node:crypto';
import { decide, type MachineEvent } from '../machines/machine.ts';
import type { ActorRecord, Snapshot } from '../machines/record.ts';
import type { TaskContext } from '../machines/task/context.ts';
import type { TaskEvent } from '../machines/task/events.ts';
import { taskMachine } from '../machines/task/machine.ts';
import { packBytes } from '../src/data/codec.ts';
import type { WitnessMessage } from '../src/witness/message.ts';

export const chain = 'IF_actors/1';
export const startedAt = 1_763_700_000_000;

/** Tasks that are open at a time; their transitions alternate, as those of many swarms do. */
const open = 250;
const steps = 4;
const swarms = 40;

/** The messages `first`, `first + 1`, ... in order of their numbers; `first - 1` is a multiple of 1,000. */
export function messagesFrom(first: number, count: number): WitnessMessage[] {
  const messages: WitnessMessage[] = [];
  let seq = first;
  for (let group = Math.floor((first - 1) / (open * steps)); messages.length < count; group++) {
    const records = Array.from({ length: open }, (_, at) => lifeOf(group * open + at));
    for (let step = 0; step < steps; step++) {
      for (const life of records) {
        if (messages.length < count) messages.push(messageOf(seq++, life[step]!));
      }
    }
  }
  return messages;
}

function messageOf(seq: number, record: ActorRecord): WitnessMessage {
  // Some messages share a millisecond.
  const time_ms = startedAt + Math.floor(seq / 3);
  return { seq, time_ms, subject: `$KV.IF_actors.${record.kind}.${record.id}`, body: packBytes(record) };
}

export function taskId(task: number): string {
  return `P${task % 7}.${Math.floor(task / 7)}`;
}

export function swarmOf(task: number): string {
  return `swarm-${(task * 31) % swarms}`;
}

export function traceOf(task: number): string {
  return uuid('trace', task);
}

/** The records of one task. */
function lifeOf(task: number): ActorRecord[] {
  const id = taskId(task);
  const owner = swarmOf(task);
  const trace_id = traceOf(task);
  const at = startedAt + task;
  const token = 4_294_967_297;
  const events: Array<TaskEvent & { readonly by?: string }> = [
    {
      type: 'CREATE',
      at,
      by: 'operator',
      task_type: 'code-review',
      priority: task % 10,
      requires: ['code-analysis:python', 'code-review:security'],
      metadata: { repository: 'https://git.example.org/team/service', branch: `feature/${task}`, files: 12 },
      cost_estimate: 0.5,
      trace_id,
      open_dependencies: [],
    },
    {
      type: 'CLAIM',
      at: at + 40,
      owner,
      epoch: 1,
      min_capability_match: 0.7,
      reserve_usd: 0.5,
      swarm: {
        registration: 'registered',
        liveness: 'online',
        circuit: 'closed',
        circuit_reasons: [],
        capabilities: ['code-analysis:python', 'code-review:security', 'documentation:api'],
        revision: 1_000 + task,
      },
    },
    { type: 'START', at: at + 45, by: owner, token },
    {
      type: 'COMPLETE',
      at: at + 5_000,
      by: owner,
      token,
      result: { summary: 'Two findings of low severity; the patch is ready to merge.', findings: 2 },
      cost: { cost_usd: 0.1875, tokens_in: 12_400, tokens_out: 830, model: 'model-large-1' },
    },
  ];
  let snapshot: Snapshot<TaskContext> = taskMachine.absent;
  return events.map((event, step) => {
    snapshot = next(snapshot, event);
    const recorded = { id: uuid('event', task * steps + step), ...event };
    const by = step === 0 ? 'operator' : owner;
    return {
      v: taskMachine.version,
      kind: 'task',
      id,
      n: step + 1,
      event: recorded,
      at: event.at,
      by,
      trace_id,
      snapshot,
    };
  });
}

function next(snapshot: Snapshot<TaskContext>, event: TaskEvent & MachineEvent): Snapshot<TaskContext> {
  const verdict = decide(taskMachine, snapshot, event);
  if (!verdict.accepted) throw new Error(`${event.type}: ${verdict.refusal.message}`);
  return verdict.snapshot;
}

/** As random as an index takes ids to be, and the same in each run. */
function uuid(what: string, number: number): string {
  return createHash('md5').update(`${what} ${number}`).digest('base64url');
}
