/** The policy in force: the values by which the governor decides, each with its source. Values that no policy may have never are in force. */
import { assign, setup } from 'xstate';
import type { ActorMachine } from '../machine.ts';
import { allHold } from '../rules.ts';
import { absentPolicy, type PolicyContext } from './context.ts';
import type { LoadPolicy, PolicyEvent } from './events.ts';
import { explainPolicy, rulesOfPolicy } from './rules.ts';

const load = { target: 'loaded', guard: 'permitted', actions: 'apply' } as const;

const logic = setup({
  types: {} as { context: PolicyContext; events: PolicyEvent },
  guards: {
    permitted: ({ context, event }) => {
      const rules = rulesOfPolicy(event.type);
      return rules !== undefined && allHold(rules, context, event);
    },
  },
  actions: {
    apply: assign(({ event }) => loaded(event)),
  },
}).createMachine({
  id: 'policy',
  context: absentPolicy,
  initial: 'absent',
  states: {
    absent: { on: { LOAD: load } },
    loaded: { on: { LOAD: load } },
  },
});

function loaded({ policy, sources, file, digest, by, at }: LoadPolicy): PolicyContext {
  return { policy, sources: { ...sources }, file, digest, loaded_by: by, loaded_at: at, updated_at: at };
}

export const policyMachine: ActorMachine<PolicyContext, PolicyEvent> = {
  kind: 'policy',
  version: 1,
  logic,
  absent: { status: 'active', value: 'absent', context: absentPolicy },
  explain: (snapshot, event) => explainPolicy(snapshot.context, event),
};
