/** What can happen to the policy in force. */
import type { MachineEvent } from '../machine.ts';
import type { GovernorPolicy } from './values.ts';

/** Other values are in force from now on. */
export interface LoadPolicy extends MachineEvent {
  readonly type: 'LOAD';
  by: string;
  policy: GovernorPolicy;
  /** See `PolicyContext.sources`. */
  sources: { readonly [field: string]: string };
  file: string | null;
  digest: string;
}

export type PolicyEvent = LoadPolicy;

export type PolicyEventType = PolicyEvent['type'];

export type PolicyEventOf<Type extends PolicyEventType> = Extract<PolicyEvent, { readonly type: Type }>;
