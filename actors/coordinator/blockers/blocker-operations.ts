/**
 * What swarms and operators do with blockers. A report and the task that it blocks change in one commit, and so do a
 * resolution and the task that goes back into work: no task is blocked without an open blocker.
 */
import { operatorId } from '../../../machines/address.ts';
import type { BlockerContext } from '../../../machines/blocker/context.ts';
import { blockerMachine } from '../../../machines/blocker/machine.ts';
import { taskMachine } from '../../../machines/task/machine.ts';
import { FabricError } from '../../../src/errors.ts';
import type { ActorStore, PlanView, Proposal, Send } from '../../../src/store/actor-store.ts';
import type { Lanes } from '../../../src/store/lanes.ts';
import type { Notice, NoticeType } from '../../../src/store/mailbox-message.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import type { AddressedNotice } from '../mailboxes/notices.ts';
import { send } from '../tasks/task-plan.ts';
import { helpNotices, joinedNotice, reportedNotice, resolvedNotices } from './blocker-notices.ts';
import { type Blocker, isResolved, mootedBy, notFound, toBlocker } from './blocker-plan.ts';
import { type BlockerReport, planBlock, planReport, type ReportOutcome } from './blocker-reporting.ts';
import { type BlockerView, blockerView } from './blocker-view.ts';
import { planDecline, planJoin } from './helper-answers.ts';
import type { HelperSource } from './helper-choice.ts';
import { OpenReports } from './open-reports.ts';

export interface Reported {
  readonly blocker_id: string;
  /** Ids of the swarms that were asked for help. */
  readonly helpers: string[];
}

/** Puts a notice into a mailbox. It does not throw; of what it loses, the lists of blockers still tell. */
export type Notify = (to: string, type: NoticeType, notice: Notice) => void;

export interface BlockerOperationsOptions {
  readonly store: ActorStore;
  readonly lanes: Lanes;
  readonly newId: () => string;
  readonly notify: Notify;
  /** Where those come from who are asked for help. */
  readonly helpers: HelperSource;
}

export class BlockerOperations {
  readonly #store: ActorStore;
  readonly #lanes: Lanes;
  readonly #newId: () => string;
  readonly #notify: Notify;
  readonly #helpers: HelperSource;
  readonly #reports = new OpenReports();

  constructor(options: BlockerOperationsOptions) {
    this.#store = options.store;
    this.#lanes = options.lanes;
    this.#newId = options.newId;
    this.#notify = options.notify;
    this.#helpers = options.helpers;
  }

  /** Takes in a record, from the log or from a commit of this process; in any order, also twice. */
  apply(stored: StoredRecord): void {
    this.#reports.apply(stored);
  }

  /** Tells those who help of a blocker that ended with the ownership that it blocked. Any commit of this process may be given. */
  committed(stored: StoredRecord): void {
    if (stored.record.event['by'] === mootedBy) this.#tell(resolvedNotices(stored));
  }

  /**
   * Reports what keeps the caller from going on; its task, where one is named, is blocked until it is resolved. The swarms
   * that can help best are asked in the same commit; where none can, a person is. The same report again, while that
   * blocker is open, returns it.
   * @throws FabricError TASK_NOT_FOUND, NOT_OWNER, STALE_TOKEN, TASK_NOT_AVAILABLE; RATE_LIMITED when too many are open
   */
  async report(by: string, report: BlockerReport): Promise<Reported> {
    const { task_id, trace = this.#newId() } = report;
    const reporting = { by, report, blocker_id: this.#newId(), helpers: this.#helpers };
    const plan = async (view: PlanView): Promise<Proposal<ReportOutcome>> =>
      task_id === undefined
        ? await planReport(view, reporting, trace, this.#openReports(by, report))
        : await planBlock(view, { ...reporting, report: { ...report, task_id } });
    // In turns, so that of reports that come twice at once the second finds the first.
    const { stored, orchestrator, now } = await this.#lanes.run(
      `blocker-reports:${by}`,
      async () => await this.#store.transact({ by, trace_id: trace }, plan),
    );
    this.#tell([reportedNotice(stored, orchestrator)]);
    for (const { to, notice } of helpNotices(stored, now)) this.#notify(to, 'help', notice);
    const { helpers } = stored.record.snapshot.context as BlockerContext;
    return { blocker_id: stored.record.id, helpers: helpers.map(({ swarm_id }) => swarm_id) };
  }

  /**
   * The caller, who was asked, helps from now on; the same again returns the blocker. Who kept silent may still join.
   * @throws FabricError TARGET_NOT_FOUND; UNAUTHORIZED when it was not asked; CONFLICT when the blocker is resolved;
   *   POLICY_VIOLATION when as many help as may
   */
  async join(by: string, blocker_id: string): Promise<BlockerView> {
    const plan = async (view: PlanView) => await planJoin(view, by, blocker_id, this.#helpers);
    const stored = await this.#store.transact({ by, trace_id: blocker_id }, plan);
    this.#tell([joinedNotice(stored, by)]);
    return blockerView(stored);
  }

  /**
   * The caller, who was asked, does not help, or no longer; the same again returns the blocker.
   * @throws FabricError TARGET_NOT_FOUND; UNAUTHORIZED when it was not asked; CONFLICT when the blocker is resolved
   */
  async decline(by: string, blocker_id: string, reason?: string): Promise<BlockerView> {
    const plan = async (view: PlanView) => await planDecline(view, by, blocker_id, reason ?? null);
    return blockerView(await this.#store.transact({ by, trace_id: blocker_id }, plan));
  }

  /**
   * Resolves a blocker; its task is back where it was, with a fresh lease. The same again returns the blocker.
   * @throws FabricError TARGET_NOT_FOUND; UNAUTHORIZED; CONFLICT when it was resolved otherwise
   */
  async resolve(by: string, blocker_id: string, resolution: string): Promise<BlockerView> {
    const event = { type: 'RESOLVE' as const, by, resolution };
    const plan = async (view: PlanView): Promise<Proposal<StoredRecord>> => {
      const blocker = await view.get(blockerMachine, blocker_id);
      if (!blocker.last) throw notFound(blocker_id);
      const { context } = blocker.snapshot;
      if (isResolved(blocker) && context.resolved_by === by && context.resolution === resolution)
        return { answer: blocker.last };
      const refusal = blockerMachine.explain(blocker.snapshot, { ...event, at: view.now });
      if (refusal) throw FabricError.refused(refusal);
      const unblock = await this.#unblock(view, blocker);
      return { send: [toBlocker(blocker, event), ...unblock], answer: ([resolved]) => resolved! };
    };
    const stored = await this.#store.transact({ by, trace_id: blocker_id }, plan);
    this.#tell(resolvedNotices(stored));
    return blockerView(stored);
  }

  #openReports(by: string, report: BlockerReport): { known: string | undefined; open: number } {
    return { known: this.#reports.find(by, report), open: this.#reports.countOf(by) };
  }

  /** What sets the task of a blocker free; nothing where it is not blocked by this one any more. */
  async #unblock(view: PlanView, blocker: Blocker): Promise<Send[]> {
    const { task_id } = blocker.snapshot.context;
    const { id: blocker_id } = blocker.ref;
    if (task_id === null) return [];
    // A task whose block was not seen here yet would stay blocked for ever: only what the leader says now will do.
    await this.#store.read({ kind: taskMachine.kind, id: task_id });
    const task = await view.get(taskMachine, task_id);
    return task.snapshot.context.blocker_id === blocker_id ? [send(task, { type: 'UNBLOCK', blocker_id })] : [];
  }

  /** @throws FabricError TARGET_NOT_FOUND */
  async get(blocker_id: string): Promise<BlockerView> {
    const stored = await this.#store.read({ kind: blockerMachine.kind, id: blocker_id });
    if (!stored) throw notFound(blocker_id);
    return blockerView(stored);
  }

  #tell(notices: readonly AddressedNotice[]): void {
    for (const { to, notice } of notices) this.#notify(to, to === operatorId ? 'escalation' : 'control', notice);
  }
}
