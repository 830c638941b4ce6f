/** Claims of the acts: of a task that has to be granted, or to be refused. */
import type { FabricClient } from '../bus/client.ts';
import { FabricError } from '../errors.ts';
import type { ClaimAnswer } from '../sdk/task.ts';

export async function claim(client: FabricClient, task_id: string): Promise<ClaimAnswer> {
  return await client.request<ClaimAnswer>('task', 'claim', { task_id });
}

/** The token of a task that nobody else wants. @throws FabricError with the reason when it is refused */
export async function claimed(client: FabricClient, task_id: string): Promise<number> {
  const answer = await claim(client, task_id);
  if (answer.claimed) return answer.token;
  throw new FabricError('INTERNAL', `${client.callerId} could not claim ${task_id}: ${answer.reason}`);
}

/** What a claim was answered: `granted`, or the code of the refusal. */
export function outcomeOf(answer: ClaimAnswer): string {
  return answer.claimed ? 'granted' : answer.reason;
}
