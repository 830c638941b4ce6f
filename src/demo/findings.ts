/** What a demo has shown, as one document: who did what, how fast, the report about the directory, and the verified chain. */
import type { ChainReport } from '../witness/chain-check.ts';
import type { FolderMeasure, Summary } from './measure.ts';
import type { DemoResult, DemoTimes } from './run.ts';
import type { Latency } from './tally.ts';

export interface SwarmFindings {
  readonly swarm_id: string;
  readonly pid: number;
  /** By the board; `audited` is the same number by the witness. */
  readonly completed: number;
  readonly audited: number;
  readonly files: number;
  readonly lines: number;
  readonly claims: number;
  readonly races_lost: number;
  readonly claim_latency: Latency;
}

export interface Findings {
  /** The chain verifies, every task was completed exactly once, and board and witness agree. */
  readonly ok: boolean;
  readonly directory: string;
  readonly swarms: readonly SwarmFindings[];
  readonly claims: { readonly claims: number; readonly races_lost: number; readonly latency: Latency };
  readonly tasks: ReadonlyArray<{
    readonly task_id: string;
    readonly task_type: string;
    readonly state: string;
    readonly owner: string | null;
    readonly attempt: number;
  }>;
  readonly report: Summary;
  readonly witness: {
    readonly ok: boolean;
    readonly chains: readonly ChainReport[];
    /** Transitions of tasks, by event type. */
    readonly transitions: Readonly<Record<string, number>>;
    /** Tasks with another number of COMPLETE transitions than one. */
    readonly not_completed_once: readonly string[];
  };
  readonly times_ms: DemoTimes & { readonly total: number };
  /** Where everything can be looked at, when it was kept. */
  readonly data_dir: string | null;
}

export function findingsOf(
  result: DemoResult,
  about: { directory: string; totalMs: number; dataDir: string | null },
): Findings {
  const { tasks, workers, total, report, audit, times } = result;
  const completed = tasks.filter(({ state }) => state === 'completed');
  const notOnce = tasks.filter(({ task_id }) => audit.completed.filter((id) => id === task_id).length !== 1);
  const swarms = workers.map((worker) => {
    const own = completed.filter(({ owner }) => owner === worker.swarm_id);
    const measures = own.filter(({ task_type }) => task_type === 'measure').map((task) => task.result as FolderMeasure);
    return {
      swarm_id: worker.swarm_id,
      pid: worker.pid,
      completed: own.length,
      audited: audit.completed_by[worker.swarm_id] ?? 0,
      files: sum(measures.map(({ files }) => files)),
      lines: sum(measures.map(({ lines }) => lines)),
      claims: worker.claims,
      races_lost: worker.races_lost,
      claim_latency: worker.latency,
    };
  });
  const agree =
    completed.length === tasks.length &&
    notOnce.length === 0 &&
    audit.completed.length === completed.length &&
    swarms.every((swarm) => swarm.completed === swarm.audited);
  return {
    ok: audit.verification.ok && agree,
    directory: about.directory,
    swarms,
    claims: total,
    tasks: tasks.map(({ task_id, task_type, state, owner, attempt }) => ({
      task_id,
      task_type,
      state,
      owner,
      attempt,
    })),
    report,
    witness: {
      ok: audit.verification.ok,
      chains: audit.verification.chains,
      transitions: audit.transitions,
      not_completed_once: notOnce.map(({ task_id }) => task_id),
    },
    times_ms: { ...times, total: Math.round(about.totalMs) },
    data_dir: about.dataDir,
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0);
}
