/** The commands `infrafabric witness ...`, in the order of its help. All take `--db FILE` and need no cluster. */
import { type CommandOption, type CommandSpec, pageOptions } from './program.ts';

const db: CommandOption = {
  flags: '--db <FILE>',
  description: 'the witness database (default: witness.db of the data directory)',
};
const key: CommandOption = {
  flags: '--key <FILE>',
  description: 'the public key to trust (default: that of the data directory)',
};
const since: CommandOption = {
  flags: '--since <TIME>',
  description: 'from: ISO 8601, milliseconds since 1970, or how long ago, such as 15m',
};
const until: CommandOption = { flags: '--until <TIME>', description: 'to, inclusive, in the same forms' };
const filters: readonly CommandOption[] = [
  since,
  until,
  { flags: '--swarm <ID>', description: 'entries of this swarm' },
  { flags: '--event <EVENT>', description: 'this event, such as CLAIM' },
  { flags: '--component <NAME>', description: 'entries of this component' },
  { flags: '--trace <ID>', description: 'entries of this trace' },
  { flags: '--kind <KIND>', description: 'actors of this kind' },
  { flags: '--id <ID>', description: 'actors of this id' },
];

export const witnessCommands: readonly CommandSpec[] = [
  {
    usage: 'witness query',
    description: 'search the history',
    example: 'witness query --kind task --id review-pr-123 --since 1h',
    options: [
      ...filters,
      { flags: '--order <ORDER>', description: 'asc or desc, by time (default: asc)' },
      ...pageOptions,
      db,
    ],
    load: async () => (await import('./commands/witness.ts')).query,
  },
  {
    usage: 'witness trace <ID>',
    description: 'show all that happened under one trace id, across actors, as a timeline',
    example: 'witness trace review-pr-123',
    options: [...pageOptions, db],
    load: async () => (await import('./commands/witness-reports.ts')).trace,
  },
  {
    usage: 'witness cost',
    description: 'add up what work cost',
    example: 'witness cost --by model --since 7d',
    options: [
      { flags: '--by <WHAT>', description: 'swarm, model, component or day (default: swarm)' },
      since,
      until,
      db,
    ],
    load: async () => (await import('./commands/witness-reports.ts')).cost,
  },
  {
    usage: 'witness export',
    description: 'write the history as JSON lines, as CSV, or as an HTML report for people',
    example: 'witness export --format html --out audit.html',
    options: [
      { flags: '--format <FORMAT>', description: 'json, csv or html', required: true },
      { flags: '--out <FILE>', description: 'a new file; - means stdout', required: true },
      ...filters,
      db,
      { flags: '--checkpoint <FILE>', description: 'for html: checkpoints to verify against, kept elsewhere' },
      key,
    ],
    lifetime: 'run',
    load: async () => (await import('./commands/witness-export.ts')).exportEntries,
  },
  {
    usage: 'witness verify',
    description: 'verify the history. Exit code 1 when it has faults, 3 when it cannot be read',
    example: 'witness verify --db copy-of-witness.db --checkpoint kept-elsewhere.json --key witness.pub',
    options: [
      db,
      { flags: '--checkpoint <FILE>', description: 'checkpoints that were kept elsewhere' },
      key,
      { flags: '--against <FILE>', description: 'another witness database that must hold the same chains' },
    ],
    load: async () => (await import('./commands/witness-verify.ts')).verify,
  },
  {
    usage: 'witness replay [KIND:ID]',
    description: 'fold the events of an actor, or of all, through their machines and compare every state',
    example: 'witness replay task:review-pr-123 --at 2026-01-31T12:00:00Z',
    options: [
      { flags: '--at <TIME>', description: 'up to this time, inclusive' },
      { flags: '--n <N>', description: 'up to this transition' },
      { flags: '--all', description: 'replay every actor' },
      db,
    ],
    load: async () => (await import('./commands/witness-replay.ts')).replay,
  },
  {
    usage: 'witness checkpoint',
    description: 'sign the heads of all chains as they are now',
    example: 'witness checkpoint --out checkpoints.jsonl',
    options: [{ flags: '--out <FILE>', description: 'append it to this file' }, db],
    load: async () => (await import('./commands/witness-proofs.ts')).checkpoint,
  },
  {
    usage: 'witness verify-checkpoint <FILE>',
    description: 'verify checkpoints by themselves: signatures, and that each extends the one before',
    example: 'witness verify-checkpoint checkpoints.jsonl --key witness.pub',
    options: [key],
    load: async () => (await import('./commands/witness-proofs.ts')).verifyCheckpoint,
  },
  {
    usage: 'witness receipt [KIND:ID]',
    description: 'write a receipt: the entries of an actor, or one entry, with proofs and a signed checkpoint',
    example: 'witness receipt task:review-pr-123 --out receipt.json',
    options: [
      { flags: '--seq <SEQ>', description: 'only this entry: a number of the newest chain of actors, or CHAIN/SEQ' },
      { flags: '--out <FILE>', description: 'write it to this file instead of stdout' },
      db,
    ],
    load: async () => (await import('./commands/witness-proofs.ts')).receipt,
  },
  {
    usage: 'witness verify-receipt <FILE>',
    description: 'verify a receipt; needs nothing but the public key',
    example: 'witness verify-receipt receipt.json --key witness.pub',
    options: [key],
    load: async () => (await import('./commands/witness-proofs.ts')).verifyReceipt,
  },
  {
    usage: 'witness key',
    description: 'show the public key and the fingerprint of the witness',
    example: 'witness key --out witness.pub',
    options: [
      { flags: '--out <FILE>', description: 'write the public keys to this file' },
      { flags: '--rotate', description: 'make a new key; the old one is kept for what it signed' },
    ],
    load: async () => (await import('./commands/witness-proofs.ts')).key,
  },
  {
    usage: 'witness prune',
    description: 'remove old entries behind a checkpoint; what is left stays verifiable',
    example: 'witness prune --before 90d',
    options: [
      { flags: '--before <TIME>', description: 'entries older than this', required: true },
      { flags: '--compact', description: 'give the space back to the file system' },
      db,
    ],
    load: async () => (await import('./commands/witness-prune.ts')).prune,
  },
  {
    usage: 'witness restore',
    description: 'give an empty fabric the history and the state of a witness database',
    example: 'witness restore --db backup/witness.db --data-dir .infrafabric',
    settings: ['nodes', 'storage', 'archive_after_ms', 'max_log_bytes'],
    options: [{ ...db, required: true }, key],
    lifetime: 'run',
    load: async () => (await import('./commands/witness-restore.ts')).restore,
  },
];
