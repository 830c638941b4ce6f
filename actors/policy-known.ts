/**
 * The policy in force, as a process knows it: what it was started with, then whatever the record `policy:governor` says.
 * It is read whenever a value is needed, so that a new policy holds from its commit on, without a restart.
 */
import { governorPolicyRef, type PolicyContext } from '../machines/policy/context.ts';
import type { GovernorPolicy } from '../machines/policy/values.ts';
import type { StoredRecord } from '../src/store/record-log.ts';

export class PolicyKnown {
  #current: GovernorPolicy;
  #record: PolicyContext | undefined;
  #revision = 0;

  /** `initial` holds until a record of the policy is seen. */
  constructor(initial: GovernorPolicy) {
    this.#current = initial;
  }

  get current(): GovernorPolicy {
    return this.#current;
  }

  /** Where each value comes from, as the record says; empty until one is seen. */
  get sources(): Readonly<Record<string, string>> {
    return this.#record?.sources ?? {};
  }

  /** What the last record of the policy holds; undefined until one is seen. */
  get recorded(): PolicyContext | undefined {
    return this.#record;
  }

  /** Takes in a record of whatever kind, in any order, also twice: the latest policy wins. */
  apply({ record, revision }: StoredRecord): void {
    const { kind, id } = governorPolicyRef;
    if (record.kind !== kind || record.id !== id || revision <= this.#revision) return;
    this.#revision = revision;
    this.#record = record.snapshot.context as PolicyContext;
    // A record of an older version may lack a value; what held before then goes on.
    this.#current = { ...this.#current, ...this.#record.policy };
  }
}
