/**
 * Approvals: what policy lets be done only when a person says so. What is approved is done in the commit of the approval
 * where an executor of the action is known here, and else by whoever asks again. A question that nobody answers expires.
 * People are told of each question; what is lost on the way to them, the list still shows.
 */
import { approvalMachine } from '../../../machines/approval/machine.ts';
import { stateName } from '../../../machines/record.ts';
import { FabricError } from '../../../src/errors.ts';
import type { Plan, PlanView, Send } from '../../../src/store/actor-store.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import type { Timer } from '../../../src/store/timers.ts';
import type { Page } from '../../coordinator/lists.ts';
import type { GovernorPart, GovernorParts } from '../part.ts';
import { approvalNotice, askedNotice } from './approval-notices.ts';
import { type ApprovalWish, questionId, type Requirement, requireApproval } from './approval-round.ts';
import { type ApprovalView, approvalView } from './approval-view.ts';
import { ApprovalsKnown } from './approvals-known.ts';

export const approvalTimer = 'approval-expiry';
const expiredBy = 'IF.governor';
/** People are told again of a question that is not older, milliseconds; the same notice within two minutes is one. */
const toldAgainMs = 60_000;
const defaultLimit = 100;

export interface Decision {
  readonly approval_id: string;
  readonly decision: 'approve' | 'reject';
  /** The name of the person. */
  readonly name: string;
  readonly comment?: string | undefined;
}

/** What is done once it is approved; its sends are committed with the approval. It refuses by throwing a FabricError. */
export type Executor = (view: PlanView, approval: ApprovalView) => Promise<readonly Send[]>;

export interface ApprovalsOptions {
  /** Resolves when every record of an approval that was committed before the call was taken in. */
  readonly catchUp: () => Promise<void>;
}

export class Approvals implements GovernorPart {
  readonly timers = [approvalTimer];
  readonly #parts: GovernorParts;
  readonly #catchUp: () => Promise<void>;
  readonly #executors = new Map<string, Executor>();
  readonly #known = new ApprovalsKnown();
  /** Of which pending approvals people were told from here. */
  readonly #told = new Set<string>();
  readonly #setting = new Set<Promise<unknown>>();

  constructor(parts: GovernorParts, options: ApprovalsOptions) {
    this.#parts = parts;
    this.#catchUp = options.catchUp;
  }

  /** Names what is done when an action is approved. */
  on(action: string, executor: Executor): void {
    this.#executors.set(action, executor);
  }

  /**
   * How it stands with a question, as part of a plan; what it says to send has to be committed, then `approvalNeeded`
   * says what to refuse with. @throws FabricError INVALID_REQUEST, UNAVAILABLE
   */
  async require(view: PlanView, wish: ApprovalWish, trace_id: string): Promise<Requirement> {
    return await requireApproval(view, wish, {
      expiry_ms: this.#parts.policy.current.approval_expiry_ms,
      trace_id,
      doneOnApproval: this.#executors.has(wish.action),
      round: this.#known.lastRound(questionId(wish)),
    });
  }

  /**
   * Decides, in a person's name, and does what was approved. The same decision again returns the approval.
   * @throws FabricError TARGET_NOT_FOUND; UNAUTHORIZED; CONFLICT (decided otherwise, expired); what doing it is refused with
   */
  async decide(by: string, { approval_id, decision, name, comment }: Decision): Promise<ApprovalView> {
    const isApproved = decision === 'approve';
    const event = { type: isApproved ? 'APPROVE' : 'REJECT', by, name, comment: comment ?? null } as const;
    const plan: Plan<StoredRecord> = async (view) => {
      const { last, snapshot } = await view.get(approvalMachine, approval_id);
      if (!last) throw unknownApproval(approval_id);
      const approval = approvalView(last);
      const isSo = approval.state === (isApproved ? 'approved' : 'rejected');
      if (isSo && approval.decided_name === name && approval.comment === event.comment) return { answer: last };
      const refusal = approvalMachine.explain(snapshot, { ...event, at: view.now });
      if (refusal) throw FabricError.refused(refusal);
      const decided: Send = { machine: approvalMachine, id: approval_id, event };
      const done = isApproved ? await this.#do(view, approval) : [];
      return { send: [decided, ...done], answer: ([stored]) => stored! };
    };
    const { trace_id } = await this.get(approval_id);
    return approvalView(await this.#parts.store.transact({ by, trace_id }, plan));
  }

  /** @throws FabricError TARGET_NOT_FOUND, UNAVAILABLE */
  async get(approval_id: string): Promise<ApprovalView> {
    const stored = await this.#parts.store.read({ kind: approvalMachine.kind, id: approval_id });
    if (!stored) throw unknownApproval(approval_id);
    return approvalView(stored);
  }

  /** Ordered by id; all that were committed before the call. @throws FabricError UNAVAILABLE */
  async list(
    filter: Page & { readonly state?: string | undefined },
  ): Promise<{ approvals: ApprovalView[]; cursor: string | null }> {
    const { state, limit = defaultLimit, cursor: after } = filter;
    await this.#catchUp();
    const { index } = this.#known;
    const ids = index.select((entry) => state === undefined || entry.state === state, { after, limit: limit + 1 });
    const shown = ids.slice(0, limit);
    const approvals: ApprovalView[] = [];
    for (const id of shown) {
      const stored = await this.#parts.store.read({ kind: approvalMachine.kind, id });
      if (!stored) this.#known.remove(id);
      else if (state === undefined || stateName(stored.record.snapshot.value) === state)
        approvals.push(approvalView(stored));
    }
    return { approvals, cursor: ids.length > limit ? shown.at(-1)! : null };
  }

  apply(stored: StoredRecord): void {
    if (!this.#known.apply(stored)) return;
    const { id } = stored.record;
    if (!this.#known.pending.has(id)) this.#told.delete(id);
  }

  committed(stored: StoredRecord): void {
    const { record } = stored;
    if (record.kind !== approvalMachine.kind) return;
    const told = approvalNotice(stored);
    if (told) this.#parts.notify(told.to, told.type, told.notice);
    if (record.event.type !== 'ASK') return;
    this.#told.add(record.id);
    this.#arm(record.id, approvalView(stored).expires_at);
  }

  async due({ id }: Timer): Promise<void> {
    await this.#expire(id);
  }

  async sweep(): Promise<void> {
    const now = this.#parts.clock.now();
    for (const [id, { asked_at, expires_at }] of [...this.#known.pending]) {
      if (expires_at <= now) await this.#expire(id);
      else if (now - asked_at < toldAgainMs && !this.#told.has(id)) await this.#tellAgain(id);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#setting);
  }

  /** The records that an approval leads to name it. */
  async #do(view: PlanView, approval: ApprovalView): Promise<Send[]> {
    const sends = (await this.#executors.get(approval.action)?.(view, approval)) ?? [];
    const { approval_id } = approval;
    return sends.map((send) => ({ ...send, event: { ...send.event, approval_id } }));
  }

  /** Whoever committed the question may have ended before it told anybody. */
  async #tellAgain(id: string): Promise<void> {
    this.#told.add(id);
    const approval = await this.get(id).catch(() => undefined);
    if (approval?.state !== 'pending') return;
    const { to, type, notice } = askedNotice(approval);
    this.#parts.notify(to, type, notice);
  }

  async #expire(id: string): Promise<void> {
    const { store, newId } = this.#parts;
    const plan: Plan<void> = async (view) => {
      const { last, snapshot } = await view.get(approvalMachine, id);
      const isPending = last !== undefined && stateName(snapshot.value) === 'pending';
      if (!isPending || view.now < snapshot.context.expires_at) {
        if (!last) this.#known.remove(id);
        return { answer: undefined };
      }
      const { trace_id } = snapshot.context;
      return { send: [{ machine: approvalMachine, id, event: { type: 'EXPIRE' }, trace_id }], answer: () => {} };
    };
    await store.transact({ by: expiredBy, trace_id: newId() }, plan);
  }

  /** Sets the timer; the sweep is there for the one that is lost. */
  #arm(id: string, at: number): void {
    const { timers, log } = this.#parts;
    const setting = timers
      .set({ what: approvalTimer, id, at })
      .catch((error: unknown) => log.warn({ err: error, approval_id: id }, 'the timer of an approval was not set'))
      .finally(() => this.#setting.delete(setting));
    this.#setting.add(setting);
  }
}

function unknownApproval(approval_id: string): FabricError {
  return new FabricError(
    'TARGET_NOT_FOUND',
    `there is no approval ${approval_id}; approval.list shows those there are`,
  );
}
