/** Which approvals there are and what they wait for, kept by following the log; the log decides. */
import type { ApprovalContext } from '../../../machines/approval/context.ts';
import { approvalMachine } from '../../../machines/approval/machine.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import { ActorIndex } from '../../coordinator/actor-index.ts';
import { roundOf } from './approval-round.ts';

export interface PendingApproval {
  readonly revision: number;
  readonly asked_at: number;
  readonly expires_at: number;
}

export class ApprovalsKnown {
  readonly index = new ActorIndex();
  readonly pending = new Map<string, PendingApproval>();
  readonly #rounds = new Map<string, number>();

  /** Takes in a record, in any order, also twice; answers whether it is of an approval and news. */
  apply({ record, revision }: StoredRecord): boolean {
    const { kind, id, snapshot } = record;
    if (kind !== approvalMachine.kind) return false;
    if ((this.index.get(id)?.revision ?? 0) >= revision) return false;
    this.index.apply({ record, revision });
    const { asked_at, expires_at } = snapshot.context as ApprovalContext;
    if (snapshot.status === 'active') this.pending.set(id, { revision, asked_at, expires_at });
    else this.pending.delete(id);
    const { question, round } = roundOf(id) ?? { question: id, round: 1 };
    if (round > (this.#rounds.get(question) ?? 0)) this.#rounds.set(question, round);
    return true;
  }

  /** Forgets an approval whose records were archived. */
  remove(id: string): void {
    this.index.remove(id);
    this.pending.delete(id);
    const { question, round } = roundOf(id) ?? { question: id, round: 1 };
    if (this.#rounds.get(question) === round) this.#rounds.delete(question);
  }

  /** The last round in which a question was asked. */
  lastRound(question: string): number | undefined {
    return this.#rounds.get(question);
  }
}
