/** First act: all workers claim the same task at the same time. One gets it, the others are told who. */
import type { Stage } from './stage.ts';
import { type Latency, latencyOf } from './tally.ts';

export interface Race {
  readonly task_id: string;
  /** Whoever was told that the task is theirs. */
  readonly winners: readonly string[];
  /** Whom the others were told to have it. */
  readonly told: ReadonlyArray<{ readonly swarm_id: string; readonly owner: string | null; readonly ms: number }>;
  /** From the first claim that was sent to the last, milliseconds. */
  readonly spread_ms: number;
  /** From a claim to its answer. */
  readonly latency: Latency;
}

export const raceTaskId = 'race';
/** Until then every worker has heard of it, milliseconds. */
const noticeMs = 200;

export async function holdRace({ client, workers }: Stage): Promise<Race> {
  await client.request('task', 'create', { task_id: raceTaskId, task_type: 'race' });
  const at = Date.now() + noticeMs;
  for (const worker of workers) worker.send({ race: { task_id: raceTaskId, at } });
  const answers = await Promise.all(
    workers.map(async ({ swarmId, raced }) => ({ swarm_id: swarmId, ...(await raced) })),
  );
  const asked = answers.map(({ asked_at }) => asked_at);
  return {
    task_id: raceTaskId,
    winners: answers.filter(({ claimed }) => claimed).map(({ swarm_id }) => swarm_id),
    told: answers
      .filter(({ claimed }) => !claimed)
      .map(({ swarm_id, owner, ms }) => ({ swarm_id, owner, ms: hundredths(ms) })),
    spread_ms: hundredths(Math.max(...asked) - Math.min(...asked)),
    latency: latencyOf(answers.map(({ ms }) => ms)),
  };
}

function hundredths(ms: number): number {
  return Math.round(ms * 100) / 100;
}
