/** What a demo has shown, as one document: who did what, what was killed, the report about the directory, the audit. */
import type { ChainReport } from '../witness/verify/chain-check.ts';
import type { Witnessed } from './audit.ts';
import { recheckTaskId, summariseTaskId } from './board.ts';
import { type GovernanceFindings, governanceNotShown, governanceOf } from './governance-findings.ts';
import type { LeaderKill } from './leader-kill.ts';
import type { FolderMeasure, Summary } from './measure.ts';
import type { OfflineReceipt } from './offline-receipt.ts';
import type { Race } from './race.ts';
import type { DemoResult, DemoTimes } from './run.ts';
import type { Recheck } from './work.ts';
import type { WorkerKill } from './worker-kill.ts';

export interface SwarmFindings {
  readonly swarm_id: string;
  readonly pid: number;
  readonly killed: boolean;
  readonly won_race: boolean;
  /** Tasks that it was handed on asking for the next one. */
  readonly handed_out: number;
  /** By the board; `audited` is the same number by the witness. */
  readonly completed: number;
  readonly audited: number;
  readonly files: number;
  readonly lines: number;
}

/** How the task that waited for all measures came to its turn, by the witness. */
export interface DependencyFindings {
  readonly task_id: string;
  readonly waited_for: number;
  /** Results that it was given. */
  readonly results: number;
  /** The last of those, and from its completion to the claim, milliseconds of the servers' clock. */
  readonly last: string | null;
  readonly claimed_after_ms: number | null;
}

export interface Findings {
  /** Everything was shown. */
  readonly ok: boolean;
  /** What was not, in sentences. */
  readonly not_shown: readonly string[];
  readonly directory: string;
  readonly swarms: readonly SwarmFindings[];
  readonly race: Race & { readonly recorded_claims: number };
  readonly governance: GovernanceFindings;
  readonly leader_kill: LeaderKill;
  readonly worker_kill: WorkerKill & { readonly lease_ms: number; readonly recorded: readonly string[] };
  readonly dependencies: DependencyFindings;
  readonly tasks: ReadonlyArray<{
    readonly task_id: string;
    readonly task_type: string;
    readonly state: string;
    readonly owner: string | null;
    readonly attempt: number;
  }>;
  readonly report: Summary;
  readonly recheck: Recheck;
  readonly witness: {
    readonly ok: boolean;
    readonly chains: readonly ChainReport[];
    /** Transitions of tasks, by event type. */
    readonly transitions: Readonly<Record<string, number>>;
    /** Tasks with another number of COMPLETE transitions than one. */
    readonly not_completed_once: readonly string[];
  };
  readonly receipt: OfflineReceipt;
  readonly times_ms: DemoTimes & { readonly total: number };
  /** Where everything can be looked at, when it was kept. */
  readonly data_dir: string | null;
}

export function findingsOf(
  result: DemoResult,
  about: { directory: string; totalMs: number; leaseMs: number; dataDir: string | null },
): Findings {
  const { tasks, report, recheck, audit, receipt, times, race, leader_kill, worker_kill } = result;
  const { rows, verification } = audit;
  const of = (task_id: string) => rows.filter(({ actor_id }) => actor_id === task_id);
  const completions = rows.filter(({ event }) => event === 'COMPLETE');
  const notOnce = tasks.filter(({ task_id }) => of(task_id).filter(isEvent('COMPLETE')).length !== 1);
  const found: Omit<Findings, 'ok' | 'not_shown'> = {
    directory: about.directory,
    swarms: swarmsOf(result, completions),
    race: { ...race, recorded_claims: of(race.task_id).filter(isEvent('CLAIM')).length },
    governance: governanceOf(result),
    leader_kill,
    worker_kill: { ...worker_kill, lease_ms: about.leaseMs, recorded: of(recheckTaskId).map(({ event }) => event) },
    dependencies: dependenciesOf(result),
    tasks: tasks.map(({ task_id, task_type, state, owner, attempt }) => ({
      task_id,
      task_type,
      state,
      owner,
      attempt,
    })),
    report,
    recheck,
    witness: {
      ok: verification.ok,
      chains: verification.chains,
      transitions: countBy(rows.map(({ event }) => event)),
      not_completed_once: notOnce.map(({ task_id }) => task_id),
    },
    receipt,
    times_ms: { ...times, total: Math.round(about.totalMs) },
    data_dir: about.dataDir,
  };
  const not_shown = notShown(found);
  return { ok: not_shown.length === 0, not_shown, ...found };
}

function swarmsOf({ tasks, workers, race, worker_kill }: DemoResult, completions: readonly Witnessed[]) {
  return workers.map(({ swarm_id, pid, handed_out }): SwarmFindings => {
    const own = tasks.filter(({ owner, state }) => owner === swarm_id && state === 'completed');
    const measures = own.filter(({ task_type }) => task_type === 'measure').map((task) => task.result as FolderMeasure);
    return {
      swarm_id,
      pid,
      killed: swarm_id === worker_kill.swarm_id,
      won_race: race.winners.includes(swarm_id),
      handed_out,
      completed: own.length,
      audited: completions.filter((row) => row.swarm_id === swarm_id).length,
      files: sum(measures.map(({ files }) => files)),
      lines: sum(measures.map(({ lines }) => lines)),
    };
  });
}

function dependenciesOf({ tasks, report, audit: { rows } }: DemoResult): DependencyFindings {
  const depends_on = tasks.find(({ task_id }) => task_id === summariseTaskId)?.depends_on ?? [];
  const last = rows.filter((row) => row.event === 'COMPLETE' && depends_on.includes(row.actor_id)).at(-1);
  const claim = rows.find((row) => row.event === 'CLAIM' && row.actor_id === summariseTaskId);
  // Nobody has it before all are completed.
  const inOrder = last && claim && claim.seq > last.seq;
  return {
    task_id: summariseTaskId,
    waited_for: depends_on.length,
    results: report.folders,
    last: last?.actor_id ?? null,
    claimed_after_ms: inOrder ? claim.timestamp - last.timestamp : null,
  };
}

/** What a viewer would miss, each as a sentence. */
function notShown(found: Omit<Findings, 'ok' | 'not_shown'>): string[] {
  const { race, tasks, swarms, witness, dependencies, leader_kill, worker_kill } = found;
  const [winner] = race.winners;
  const checks: ReadonlyArray<readonly [shown: boolean, otherwise: string]> = [
    [
      race.winners.length === 1 && race.recorded_claims === 1,
      `${race.winners.length} workers won the race, ${race.recorded_claims} claims of it are on record`,
    ],
    [race.told.every(({ owner }) => owner === winner), 'not everybody who lost the race was told who won it'],
    [tasks.every(({ state }) => state === 'completed'), 'not all tasks are completed'],
    [witness.not_completed_once.length === 0, 'not all tasks were completed exactly once'],
    [swarms.every(({ completed, audited }) => completed === audited), 'the board and the witness disagree'],
    [
      dependencies.results === dependencies.waited_for && dependencies.claimed_after_ms !== null,
      `${dependencies.task_id} did not wait for all it depends on, or did not get their results`,
    ],
    [leader_kill.pause_ms > 0 && leader_kill.open_tasks > 0, 'nothing was left to do when the leader was killed'],
    [leader_kill.node_back_after_ms !== null, `the node ${leader_kill.node} did not come back`],
    [
      worker_kill.new_owner !== worker_kill.swarm_id && worker_kill.recorded.includes('LEASE_EXPIRED'),
      'the task of the killed worker was not reclaimed',
    ],
    [witness.ok, 'the witness database does not verify'],
    [
      found.receipt.verified,
      `the receipt of ${found.receipt.task_id} does not verify: ${found.receipt.errors.join('; ')}`,
    ],
  ];
  return [
    ...checks.flatMap(([shown, otherwise]) => (shown ? [] : [otherwise])),
    ...governanceNotShown(found.governance),
  ];
}

function isEvent(type: string): (row: Witnessed) => boolean {
  return ({ event }) => event === type;
}

function countBy(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0);
}
