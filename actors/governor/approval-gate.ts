/**
 * Operations that policy may let wait for a person: either what they propose is committed at once, or the question is, and
 * the caller learns which approval it waits for. Once a person approves, the same is done in the commit of the approval.
 * No person is asked about what would be refused whatever they say.
 */
import type { ActorMachine, MachineEvent } from '../../machines/machine.ts';
import type { ApprovableAction } from '../../machines/policy/values.ts';
import { FabricError } from '../../src/errors.ts';
import type { PlanView, Proposal, Send } from '../../src/store/actor-store.ts';
import type { PolicyKnown } from '../policy-known.ts';
import { type ApprovalWish, approvalNeeded, type Requirement } from './approvals/approval-round.ts';
import type { Approvals } from './approvals/approvals.ts';
import type { GovernorParts } from './part.ts';

/** What policy wants to be approved, and who asks for it. */
export interface Gate {
  readonly policy: Pick<PolicyKnown, 'current'>;
  readonly approvals: Pick<Approvals, 'require'>;
}

export interface GatedParts extends Pick<GovernorParts, 'store' | 'lanes' | 'newId'> {
  /** Default: nothing waits for a person. */
  readonly gate?: Gate;
}

export interface GatedWish extends ApprovalWish {
  readonly action: ApprovableAction;
}

/** What an operation does, and whether it is of the kind that policy may guard. */
export type Guarded<Answer> = Proposal<Answer> & { readonly guarded: boolean };

type Pending = Requirement & { readonly state: 'pending' };
type Outcome<Answer> = { readonly answer: Answer } | { readonly pending: Pending };

/**
 * @throws FabricError POLICY_VIOLATION with `details.approval_id` when a person has to approve first; what the plan or a
 *   machine refuses with
 */
export async function throughGate<Answer>(
  { store, lanes, newId, gate }: GatedParts,
  lane: string,
  wish: GatedWish,
  plan: (view: PlanView) => Promise<Guarded<Answer>>,
): Promise<Answer> {
  const trace_id = newId();
  const gated = async (view: PlanView): Promise<Proposal<Outcome<Answer>>> => {
    const proposal = await plan(view);
    if (!proposal.send) return { answer: { answer: proposal.answer } };
    if (proposal.guarded && gate?.policy.current.approvals_required.includes(wish.action)) {
      await requirePermitted(view, proposal.send);
      const requirement = await gate.approvals.require(view, wish, trace_id);
      if (requirement.state === 'pending') {
        const pending = { pending: requirement };
        return requirement.send.length > 0 ? { send: requirement.send, answer: () => pending } : { answer: pending };
      }
      if (requirement.state !== 'approved')
        throw new FabricError(
          'POLICY_VIOLATION',
          `${requirement.approval.decided_name} rejected this; nothing was done`,
        );
    }
    const { send, answer } = proposal;
    return { send, answer: (committed) => ({ answer: answer(committed) }) };
  };
  const outcome = await lanes.run(lane, async () => await store.transact({ by: wish.by, trace_id }, gated));
  if ('pending' in outcome) throw approvalNeeded(outcome.pending);
  return outcome.answer;
}

/** Each on what is on record; a guarded operation sends no two events to one actor. @throws FabricError the refusal of a machine */
async function requirePermitted(view: PlanView, sends: readonly Send[]): Promise<void> {
  for (const { machine, id, event } of sends) {
    const { snapshot } = await view.get(machine, id);
    const { explain } = machine as unknown as ActorMachine<unknown, MachineEvent>;
    const refusal = explain(snapshot, { at: view.now, ...event });
    if (refusal) throw FabricError.refused(refusal);
  }
}
