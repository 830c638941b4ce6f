/**
 * Answering calls for help: a swarm that can do what a blocked one lacks is asked through its mailbox, and joins or
 * declines. Until it answers, nobody else is asked in its place.
 */
import type { HelperFactors, Severity } from '../../machines/blocker/context.ts';
import type { FabricClient } from '../bus/client.ts';
import { FabricError } from '../errors.ts';
import type { MailboxMessage } from '../store/mailbox-message.ts';
import type { Task } from './task.ts';

/** Who is stuck, with what, and until when an answer is waited for. */
export interface HelpRequest {
  readonly blocker_id: string;
  /** The task that is blocked; null when the swarm is stuck as such. */
  readonly task_id: string | null;
  readonly reported_by: string;
  readonly blocker_type: string;
  readonly description: string;
  readonly severity: Severity;
  readonly required_capabilities: readonly string[];
  /** Milliseconds since 1970; then the next best swarm is asked, and this one may still join. */
  readonly answer_by: number | null;
  /** What it was chosen by. */
  readonly why: HelperFactors | null;
}

/** Join, or decline, with a reason or without. */
export type HelpAnswer = 'join' | 'decline' | { readonly decline: string };

/** The call for help in a message of the mailbox; undefined where it is something else. */
export function helpRequestOf(message: MailboxMessage<Task>): HelpRequest | undefined {
  return message.type === 'help' ? (message.notice as unknown as HelpRequest) : undefined;
}

/**
 * Answers a call for help as `decide` says; for the `onMessage` of a mailbox. True where this swarm helps from now on;
 * false where it declined, was too late, or the message is no call for help. Whoever helps may resolve the blocker.
 * @throws what `decide` throws; FabricError UNAVAILABLE, TIMEOUT: the message comes again
 */
export async function answerHelp(
  client: FabricClient,
  message: MailboxMessage<Task>,
  decide: (request: HelpRequest) => Promise<HelpAnswer> | HelpAnswer,
): Promise<boolean> {
  const request = helpRequestOf(message);
  if (!request) return false;
  const { blocker_id } = request;
  const answer = await decide(request);
  try {
    if (answer === 'join') await client.request('blocker', 'join', { blocker_id });
    else
      await client.request('blocker', 'decline', {
        blocker_id,
        ...(answer === 'decline' ? {} : { reason: answer.decline }),
      });
    return answer === 'join';
  } catch (error) {
    if (error instanceof FabricError && tooLate.has(error.code)) return false;
    throw error;
  }
}

/** The blocker is resolved, or archived, or as many help as may. */
const tooLate: ReadonlySet<string> = new Set(['CONFLICT', 'POLICY_VIOLATION', 'TARGET_NOT_FOUND']);
