/**
 * The SDK: what programs use to take part in a fabric. A worker in full:
 *
 *     import { readFile } from 'node:fs/promises';
 *     import { join, runWorker } from 'infrafabric';
 *
 *     const creds = await readFile('swarm-7.creds', 'utf8'); // infrafabric swarm creds swarm-7 --out swarm-7.creds
 *     const { client, close } = await join({ servers: ['nats://127.0.0.1:4222'], creds });
 *     const stop = new AbortController();
 *     process.once('SIGTERM', () => stop.abort());
 *     await runWorker({
 *       client,
 *       registration: { capabilities: ['review'], cost_per_hour: 1.5 },
 *       signal: stop.signal,
 *       work: async (task) => ({ reviewed: task.task_id }),
 *     });
 *     await close();
 *
 * Whatever is not exported here may change in any version.
 */
export { type Code, type CodeMeaning, codes } from '../machines/codes.ts';
export {
  type Candidate,
  type Judgement,
  judge,
  type MatchFactors,
  type MatchRequest,
  type MatchRule,
  type MatchRules,
} from '../machines/governance/matching.ts';
export type { Json } from '../machines/record.ts';
export { FabricClient } from './bus/client.ts';
export { FabricError } from './errors.ts';
export type { Work } from './sdk/attempt.ts';
export { answerHelp, type HelpAnswer, type HelpRequest, helpRequestOf } from './sdk/help.ts';
export { type JoinOptions, join, type Membership } from './sdk/join.ts';
export { type MailboxOptions, readMailbox } from './sdk/mailbox.ts';
export { rankSwarms } from './sdk/rank-swarms.ts';
export type { ClaimAnswer, DependencyResults, NextAnswer, OwnedTask, Task } from './sdk/task.ts';
export { type Registration, runWorker, type WorkerEvent, type WorkerOptions } from './sdk/worker.ts';
export type { MailboxMessage } from './store/mailbox-message.ts';
