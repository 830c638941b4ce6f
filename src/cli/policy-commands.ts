/** The commands `infrafabric policy ...`, in the order of its help. */
import type { CommandSpec } from './program.ts';

export const policyCommands: readonly CommandSpec[] = [
  {
    usage: 'policy check [DIR]',
    description: 'check the policy files of a folder',
    example: 'policy check policies',
    settings: ['policies'],
    load: async () => (await import('./commands/policy.ts')).check,
  },
  {
    usage: 'policy show',
    description: 'show every value of the policy in force, and where it comes from',
    example: 'policy show',
    settings: ['policies'],
    load: async () => (await import('./commands/policy.ts')).show,
  },
];
