/** The commands `infrafabric governor ...`, in the order of its help. */
import { type CommandOption, type CommandSpec, pageOptions } from './program.ts';

const all: CommandOption = { flags: '--all', description: 'all swarms at once, instead of one' };
const reason: CommandOption = { flags: '--reason <TEXT>', description: 'why, for the record' };

export const governorCommands: readonly CommandSpec[] = [
  {
    usage: 'governor report',
    description: 'show budgets, costs and circuits of all swarms, and of the fabric; as a swarm, its own',
    example: 'governor report --json',
    options: [{ flags: '--swarm <ID>', description: 'only this swarm' }, ...pageOptions],
    load: async () => (await import('./commands/governor.ts')).report,
  },
  {
    usage: 'governor match',
    description: 'rank the swarms that qualify for a piece of work, with what each is ranked by',
    example: 'governor match --requires code-analysis:python,testing:unit --max-cost 20',
    options: [
      { flags: '--requires <CAPABILITY,...>', description: 'the capabilities that are needed', required: true },
      { flags: '--max-cost <USD>', description: 'what a swarm may cost per hour (default: as the policy says)' },
      { flags: '--cost-estimate <USD>', description: 'what the work may cost; a budget has to cover it' },
      { flags: '--limit <N>', description: 'how many at most, 1 to 1000' },
    ],
    load: async () => (await import('./commands/governor.ts')).match,
  },
  {
    usage: 'governor allocate [ID]',
    description:
      'set what a swarm may spend in all, or all swarms together; exit code 1 when it needs an approval first',
    example: 'governor allocate reviewer-1 --budget 25 --per-hour 2.50',
    options: [
      { flags: '--budget <USD>', description: 'the sum; `none` with --fabric: no common budget', required: true },
      { flags: '--per-hour <USD>', description: 'and in each hour (UTC); `none` removes the limit' },
      { flags: '--per-day <USD>', description: 'and on each day (UTC); `none` removes the limit' },
      { flags: '--fabric', description: 'all swarms together, instead of one' },
      reason,
    ],
    load: async () => (await import('./commands/governor.ts')).allocate,
  },
  {
    usage: 'governor track-cost <USD>',
    description: 'charge a cost to the budget of a swarm, as that swarm; exit code 1 when the budget does not cover it',
    example: 'governor track-cost 0.042 --operation completion --model small-1 --swarm reviewer-1',
    options: [
      { flags: '--operation <NAME>', description: 'what it was for', required: true },
      { flags: '--tokens-in <N>', description: 'tokens sent to a model' },
      { flags: '--tokens-out <N>', description: 'tokens received from a model' },
      { flags: '--model <NAME>', description: 'the model' },
      { flags: '--trace <ID>', description: 'the trace that it belongs to' },
      { flags: '--swarm <ID>', description: 'act as this swarm, with the keys of the data directory' },
    ],
    load: async () => (await import('./commands/governor.ts')).trackCost,
  },
  {
    usage: 'governor grant <ID> <CAPABILITY...>',
    description: 'grant capabilities to a swarm, such as privileges; grants add up',
    example: 'governor grant reviewer-1 system.process.execute',
    load: async () => (await import('./commands/governor.ts')).grant,
  },
  {
    usage: 'governor revoke <ID> <CAPABILITY...>',
    description: 'take capabilities away from a swarm, whether granted or declared',
    example: 'governor revoke reviewer-1 system.process.execute',
    load: async () => (await import('./commands/governor.ts')).revoke,
  },
  {
    usage: 'governor pause [ID]',
    description: 'let a swarm, or all, claim nothing; what is owned follows the policy for open circuits',
    example: 'governor pause --all --reason "incident 7"',
    options: [all, reason],
    load: async () => (await import('./commands/governor.ts')).pause,
  },
  {
    usage: 'governor drain [ID]',
    description: 'let a swarm, or all, claim nothing, and finish what is owned',
    example: 'governor drain reviewer-1',
    options: [all, reason],
    load: async () => (await import('./commands/governor.ts')).drain,
  },
  {
    usage: 'governor resume [ID]',
    description: 'end a pause or a drain',
    example: 'governor resume --all',
    options: [all],
    load: async () => (await import('./commands/governor.ts')).resume,
  },
  {
    usage: 'governor reset-circuit <ID>',
    description: 'close the circuit of a swarm; exit code 1 when it needs an approval or money first',
    example: 'governor reset-circuit reviewer-1',
    options: [reason],
    load: async () => (await import('./commands/governor.ts')).resetCircuit,
  },
];
