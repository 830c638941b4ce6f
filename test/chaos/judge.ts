/** Holds what a chaos run left behind against the rules, and sums it up. */
import { openReadOnly } from '../../src/witness/read-only.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { checkHistory } from '../linearizability/check.ts';
import { taskModel } from '../linearizability/task-model.ts';
import type { TaskOperation } from '../linearizability/task-operation.ts';
import type { ChaosEvidence } from './chaos-run.ts';
import { now } from './monotonic.ts';
import { historyOf, isAmbiguous, isDone, readRequests } from './op-log.ts';
import { losses, unansweredClaims } from './recorded-operations.ts';
import { type Recoveries, recoveries } from './recovery.ts';
import {
  byTask,
  findingsOfAcknowledged,
  findingsOfKeys,
  findingsOfLosses,
  findingsOfOrder,
  findingsOfTask,
  type Presence,
  type Row,
  recordsOf,
  type TaskRecord,
} from './task-records.ts';

export interface Judgement {
  /** What is wrong; empty when nothing is. */
  readonly findings: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly recoveries: Recoveries;
}

/**
 * To be called soon after the run, on the same machine: its clocks are compared. `recoveryMs`: how long after the end of
 * a fault work may take to go on.
 */
export function judge(evidence: ChaosEvidence, recoveryMs = 10_000): Judgement {
  const requests = readRequests(evidence.opsDir);
  const { records, presence, gaps } = readWitness(evidence.witnessDb);
  const histories = byTask(records);
  const recovered = recoveries(evidence.faults, requests, recoveryMs);
  const offset = now() - Date.now();
  const asked = unansweredClaims(requests, records, offset);
  const history = [...historyOf(requests), ...asked.operations, ...losses(histories.values(), offset)];
  const begun = performance.now();
  const checked = checkHistory(history, taskModel());
  const checkMs = performance.now() - begun;
  const verification = verifyDatabase(evidence.witnessDb);
  const findings = [
    ...evidence.findings,
    ...recovered.late,
    ...evidence.created.flatMap(({ task_id }) => (histories.has(task_id) ? [] : [`${task_id} is lost`])),
    ...evidence.shown.flatMap(({ task_id, n, revision }) => {
      const last = histories.get(task_id)?.at(-1);
      if (last?.n === n && last.seq === revision) return [];
      return [`${task_id} is shown as record ${n} at ${revision}, on record are ${last?.n} at ${last?.seq}`];
    }),
    ...[...histories.values()].flatMap(findingsOfTask),
    ...findingsOfOrder(histories),
    ...findingsOfKeys(records),
    ...findingsOfLosses(records, presence),
    ...findingsOfAcknowledged(requests, histories),
    ...asked.findings,
    ...gaps.map((payload) => `the witness has a gap: ${payload}`),
    ...verification.chains.flatMap(({ chain, errors }) => errors.map((error) => `${chain}: ${JSON.stringify(error)}`)),
    ...checked.violations.map(({ key, placed, state, stuck }) => notLinearizable(key, placed, state, stuck)),
    ...checked.undecided.map((key) => `the history of ${key} is too ambiguous to be decided`),
  ];
  const lateness = records.map(({ event, at }) => at - ((event['lease_expires_at'] as number) ?? at));
  const transitions = (type: string) => records.filter(({ event }) => event.type === type).length;
  const counts = {
    tasks: histories.size,
    claims: transitions('CLAIM'),
    completions: transitions('COMPLETE'),
    'leases that ran out': transitions('LEASE_EXPIRED'),
    'milliseconds until that was noticed, at most': Math.max(0, ...lateness),
    'swarms that were believed to be away': presence.filter(({ event }) => event === 'OFFLINE').length,
    'tasks taken from them': transitions('OWNER_LOST'),
    'tasks given back': transitions('RELEASE') + transitions('FAIL'),
    requests: requests.length,
    'requests without a certain answer': requests.filter(isAmbiguous).length,
    'acknowledged changes': requests.filter(isDone).length,
    'stale tokens refused': requests.filter(({ reply }) => reply?.code === 'STALE_TOKEN').length,
    'faults of the fabric (INTERNAL)': requests.filter(({ reply }) => reply?.code === 'INTERNAL').length,
    'operations checked': checked.operations,
    'milliseconds to check them': Math.round(checkMs),
  };
  return { findings, counts, recoveries: recovered };
}

function readWitness(path: string): { records: TaskRecord[]; presence: Presence[]; gaps: string[] } {
  const { sqlite, close } = openReadOnly(path);
  try {
    const rows = sqlite.prepare<[], Row>(
      "SELECT seq, actor_id, payload FROM entries WHERE kind = 'task' AND chain LIKE 'IF_actors/%' ORDER BY seq",
    );
    const presence = sqlite.prepare<[], Presence>(
      "SELECT actor_id AS swarm_id, event, json_extract(payload, '$.at') AS at FROM entries " +
        "WHERE event IN ('REGISTER', 'ONLINE', 'OFFLINE') AND kind = 'swarm' ORDER BY seq",
    );
    const gaps = sqlite.prepare<[], { payload: string }>("SELECT payload FROM entries WHERE event = 'gap'");
    return { records: recordsOf(rows.all()), presence: presence.all(), gaps: gaps.all().map(({ payload }) => payload) };
  } finally {
    close();
  }
}

function notLinearizable(
  key: string,
  placed: readonly TaskOperation[],
  state: unknown,
  stuck: readonly TaskOperation[],
): string {
  const line = ({ process, op, input, output, call, return: end }: TaskOperation) =>
    `    ${call.toFixed(3)}..${end.toFixed(3)} ${process} ${op} ${JSON.stringify(input)} -> ${JSON.stringify(output)}`;
  return [
    `the history of ${key} is not linearizable; this far there is an order:`,
    ...placed.slice(-20).map(line),
    `  which leads to ${JSON.stringify(state)}, where none of these can be next:`,
    ...stuck.slice(0, 10).map(line),
  ].join('\n');
}
