/** The plans of a report: of one that blocks a task, in one commit with it, and of one that blocks a swarm as such. */
import type { BlockerContext, Severity } from '../../../machines/blocker/context.ts';
import { blockerMachine } from '../../../machines/blocker/machine.ts';
import { sameNames } from '../../../machines/equality.ts';
import type { TaskEvent } from '../../../machines/task/events.ts';
import { taskMachine } from '../../../machines/task/machine.ts';
import { FabricError } from '../../../src/errors.ts';
import type { PlanView, Proposal, Send } from '../../../src/store/actor-store.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import { existing, send } from '../tasks/task-plan.ts';
import { orchestratorOf } from './blocker-notices.ts';
import { isResolved } from './blocker-plan.ts';
import { firstHelp, type HelpEvent, type HelperSource } from './helper-choice.ts';

export interface BlockerReport {
  readonly task_id?: string | undefined;
  /** Of the ownership that is blocked; default: that which the reporter has now. */
  readonly token?: number | undefined;
  readonly type: string;
  readonly description: string;
  readonly severity: Severity;
  readonly required_capabilities: readonly string[];
  /** The trace of a report without a task; one with a task belongs to the task's. */
  readonly trace?: string | undefined;
}

/** The blocker as it is on record, and who has to know of it. */
export interface ReportOutcome {
  readonly stored: StoredRecord;
  readonly orchestrator: string;
  /** The time of the decision, milliseconds since 1970. */
  readonly now: number;
}

interface Reporting<Report extends BlockerReport = BlockerReport> {
  readonly by: string;
  readonly report: Report;
  /** The id of the blocker, if there is not one that says the same. */
  readonly blocker_id: string;
  /** Where those come from who are asked for help, in the commit of the report. */
  readonly helpers: HelperSource;
}

/** @throws FabricError TASK_NOT_FOUND, NOT_OWNER, STALE_TOKEN, TASK_NOT_AVAILABLE */
export async function planBlock(
  view: PlanView,
  { by, report, blocker_id, helpers }: Reporting<BlockerReport & { readonly task_id: string }>,
): Promise<Proposal<ReportOutcome>> {
  const task = await existing(view, report.task_id);
  const { context } = task.snapshot;
  const orchestrator = orchestratorOf(context, by);
  const token = report.token ?? context.token;
  if (context.blocker_id !== null && token === context.token) {
    const same = await openBlocker(view, context.blocker_id, by, report);
    if (same) return { answer: { stored: same, orchestrator, now: view.now } };
  }
  const block = { type: 'BLOCK', by, token, blocker_id };
  // Whether the caller may block the task is the task's to say, before anything is reported.
  const refusal = taskMachine.explain(task.snapshot, { ...block, at: view.now } as TaskEvent);
  if (refusal) throw FabricError.refused(refusal);
  const content = { by, ...contentOf(report), task_id: report.task_id, token, trace_id: context.trace_id };
  const reported = reporting(blocker_id, content, firstHelp(by, report, helpers, view.now));
  return {
    send: [...reported, send(task, block)],
    answer: (committed) => ({ stored: committed[reported.length - 1]!, orchestrator, now: view.now }),
  };
}

/** Open blockers without a task that one swarm may have: each of them draws others. */
export const mostOpenReports = 256;

/**
 * `known` is a blocker that may have come of the same report, `open` how many without a task the swarm has.
 * @throws FabricError RATE_LIMITED
 */
export async function planReport(
  view: PlanView,
  { by, report, blocker_id, helpers }: Reporting,
  trace_id: string,
  { known, open }: { readonly known: string | undefined; readonly open: number },
): Promise<Proposal<ReportOutcome>> {
  const orchestrator = orchestratorOf(undefined, by);
  const same = known === undefined ? undefined : await openBlocker(view, known, by, report);
  if (same) return { answer: { stored: same, orchestrator, now: view.now } };
  if (open >= mostOpenReports)
    throw new FabricError(
      'RATE_LIMITED',
      `${by} has ${open} open blockers without a task, as many as it may; resolve some of them, then report further ones`,
      { open_blockers: open },
    );
  const content = { by, ...contentOf(report), task_id: null, token: null, trace_id };
  const reported = reporting(blocker_id, content, firstHelp(by, report, helpers, view.now));
  return { send: reported, answer: (committed) => ({ stored: committed.at(-1)!, orchestrator, now: view.now }) };
}

function contentOf({ type, description, severity, required_capabilities }: BlockerReport) {
  return { blocker_type: type, description, severity, required_capabilities };
}

/** The report, and right after it who is asked for help. */
function reporting(
  id: string,
  report: { readonly trace_id: string; readonly [field: string]: unknown },
  help: readonly HelpEvent[],
): Send[] {
  const { trace_id } = report;
  const events: Send['event'][] = [{ type: 'REPORT', ...report }, ...help.map((event) => ({ ...event }))];
  return events.map((event) => ({ machine: blockerMachine, id, trace_id, event }));
}

/** The last record of a blocker that is open and says what is reported; undefined when there is none. */
async function openBlocker(
  view: PlanView,
  blocker_id: string,
  by: string,
  report: BlockerReport,
): Promise<StoredRecord | undefined> {
  const blocker = await view.get(blockerMachine, blocker_id);
  if (isResolved(blocker)) return undefined;
  return saysTheSame(blocker.snapshot.context, by, report) ? blocker.last : undefined;
}

function saysTheSame(blocker: BlockerContext, by: string, report: BlockerReport): boolean {
  return (
    blocker.reported_by === by &&
    blocker.task_id === (report.task_id ?? null) &&
    blocker.blocker_type === report.type &&
    blocker.description === report.description &&
    blocker.severity === report.severity &&
    sameNames(blocker.required_capabilities, report.required_capabilities)
  );
}
