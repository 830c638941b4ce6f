/** What the record of the policy in force holds. Pure JSON: null stands for "none", times are milliseconds since 1970. */
import type { ActorRef } from '../address.ts';
import { defaultPolicy, type GovernorPolicy } from './values.ts';

export const policyStates = ['absent', 'loaded'] as const;

export type PolicyState = (typeof policyStates)[number];

/** The one actor of this kind. */
export const governorPolicyRef: ActorRef = { kind: 'policy', id: 'governor' };

export interface PolicyContext {
  policy: GovernorPolicy;
  /** Where each value comes from, by its name: `built-in`, or a file and line. */
  sources: { [field: string]: string };
  /** The file that it was read from; null where there is none and all values are built in. */
  file: string | null;
  /** Tells one content of the file from another. */
  digest: string;
  loaded_by: string;
  loaded_at: number;
  updated_at: number;
}

export const absentPolicy: PolicyContext = {
  policy: defaultPolicy,
  sources: {},
  file: null,
  digest: '',
  loaded_by: '',
  loaded_at: 0,
  updated_at: 0,
};
