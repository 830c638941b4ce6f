/** The commands `infrafabric approval ...`, in the order of its help. */
import { type CommandSpec, pageOptions } from './program.ts';

export const approvalCommands: readonly CommandSpec[] = [
  {
    usage: 'approval list',
    description: 'list what people were asked to approve, and what they said',
    example: 'approval list --state pending',
    options: [{ flags: '--state <STATE>', description: 'only those in this state' }, ...pageOptions],
    load: async () => (await import('./commands/approval.ts')).list,
  },
  {
    usage: 'approval show <ID>',
    description: 'show one approval, with everything that would be done',
    example: 'approval show raise_budget.3f9c02d41be7a685.1',
    load: async () => (await import('./commands/approval.ts')).show,
  },
  {
    usage: 'approval decide <ID>',
    description: 'approve or reject, in the name of a person; what is approved is done at once',
    example: 'approval decide raise_budget.3f9c02d41be7a685.1 --approve --name "Ada" --comment "until Friday"',
    options: [
      { flags: '--approve', description: 'yes: it may be done' },
      { flags: '--reject', description: 'no' },
      { flags: '--name <NAME>', description: 'who decides, for the record (default: your login name)' },
      { flags: '--comment <TEXT>', description: 'why, for the record' },
    ],
    load: async () => (await import('./commands/approval.ts')).decide,
  },
];
