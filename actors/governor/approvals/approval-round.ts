/**
 * Asking a person, as part of a plan of any service. The same question by the same asker is one approval, whoever asks at
 * once and in how many processes: its id is made of the question and of a round, and the next round begins when the
 * answer of the one before holds no more.
 */
import { createHash } from 'node:crypto';
import { isId } from '../../../machines/address.ts';
import type { ApprovalContext, ApprovalState } from '../../../machines/approval/context.ts';
import type { AskApproval } from '../../../machines/approval/events.ts';
import { approvalMachine } from '../../../machines/approval/machine.ts';
import { sameJson } from '../../../machines/equality.ts';
import { type Json, stateName } from '../../../machines/record.ts';
import { FabricError } from '../../../src/errors.ts';
import type { PlanView, Send } from '../../../src/store/actor-store.ts';
import type { ActorState } from '../../../src/store/reading.ts';
import { type ApprovalView, approvalView } from './approval-view.ts';

/** What a person is asked. */
export interface ApprovalWish {
  /** A name of letters, digits, `_` and `-`, such as `raise_budget`. */
  readonly action: string;
  /** As `<kind>:<id>` where it is an actor; null: nothing in particular. */
  readonly target: string | null;
  /** Everything that is needed to do it once it is approved. */
  readonly request: Json;
  /** A swarm id, `operator`, or a service as `IF.<name>`. */
  readonly by: string;
  readonly reason?: string | undefined;
}

export interface ApprovalTerms {
  /** Policy: how long it can be given, milliseconds. The answer holds for as long, from when it was given. */
  readonly expiry_ms: number;
  readonly trace_id: string;
  /** What is approved is done in the commit of the approval, so that an answer never holds for the same question again. */
  readonly doneOnApproval?: boolean;
  /** The last round that is known of. Default: none. */
  readonly round?: number | undefined;
}

/** How it stands with a question. */
export type Requirement =
  | { readonly state: 'approved' | 'rejected'; readonly approval: ApprovalView; readonly send: readonly [] }
  /** `send` has to be committed; it is empty where the question waits already. */
  | {
      readonly state: 'pending';
      readonly approval_id: string;
      readonly action: string;
      readonly expires_at: number;
      readonly send: readonly Send[];
    };

/** What the ids of all rounds of a question begin with. */
export function questionId({ action, target, request, by }: ApprovalWish): string {
  const text = JSON.stringify([action, target, by, sorted(request)]);
  return `${action}.${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
}

/** The question and the round of an id; undefined for an id that is of another make. */
export function roundOf(approval_id: string): { question: string; round: number } | undefined {
  const [, question, round] = /^(.+)\.([1-9]\d{0,8})$/.exec(approval_id) ?? [];
  return question === undefined ? undefined : { question, round: Number(round) };
}

/** @throws FabricError INVALID_REQUEST for an action that is no name; UNAVAILABLE */
export async function requireApproval(view: PlanView, wish: ApprovalWish, terms: ApprovalTerms): Promise<Requirement> {
  const { action } = wish;
  if (!isId(action) || action.includes('.') || action.length > 64)
    throw new FabricError('INVALID_REQUEST', `action: must be letters, digits, _ and -, not ${JSON.stringify(action)}`);
  const question = questionId(wish);
  for (let round = Math.max(1, terms.round ?? 1); ; round++) {
    const approval_id = `${question}.${round}`;
    const approval = await view.get(approvalMachine, approval_id);
    const expires_at = view.now + terms.expiry_ms;
    if (!approval.last)
      return { state: 'pending', approval_id, action, expires_at, send: [ask(approval_id, wish, terms, expires_at)] };
    const held = heldBy(approval, wish, view.now, terms.doneOnApproval ?? false);
    if (held === 'pending') {
      const { context } = approval.snapshot;
      return { state: held, approval_id, action, expires_at: context.expires_at, send: [] };
    }
    if (held) return { state: held, approval: approvalView(approval.last), send: [] };
  }
}

/** @throws FabricError POLICY_VIOLATION: what to refuse with until a person has decided */
export function approvalNeeded({ approval_id, action, expires_at }: Requirement & { state: 'pending' }): FabricError {
  return new FabricError(
    'POLICY_VIOLATION',
    `policy lets ${action} be done only when a person approves of it, and nothing was done yet; an operator decides with ` +
      `\`infrafabric approval decide ${approval_id} --approve\` until ${new Date(expires_at).toISOString()}`,
    { approval_id, expires_at, action },
  );
}

/** What an approval says to the question now; undefined where the question has to be asked anew. */
function heldBy(
  { snapshot }: ActorState<ApprovalContext>,
  wish: ApprovalWish,
  now: number,
  doneOnApproval: boolean,
): 'pending' | 'approved' | 'rejected' | undefined {
  const { context } = snapshot;
  const isOfWish =
    context.action === wish.action &&
    context.target === wish.target &&
    context.asked_by === wish.by &&
    sameJson(context.request, wish.request);
  if (!isOfWish) return undefined;
  const state = stateName(snapshot.value) as ApprovalState;
  if (state === 'pending') return now < context.expires_at ? 'pending' : undefined;
  if (doneOnApproval || (state !== 'approved' && state !== 'rejected')) return undefined;
  const heldUntil = (context.decided_at ?? 0) + (context.expires_at - context.asked_at);
  return now < heldUntil ? state : undefined;
}

function ask(id: string, wish: ApprovalWish, { trace_id }: ApprovalTerms, expires_at: number): Send {
  const { by, action, target, request, reason = null } = wish;
  const event: Omit<AskApproval, 'at'> = { type: 'ASK', by, action, target, request, reason, expires_at, trace_id };
  return { machine: approvalMachine, id, event: { ...event }, trace_id };
}

/** With the keys of objects in one order, so that the same request is the same text. */
function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key]!)]),
  );
}
