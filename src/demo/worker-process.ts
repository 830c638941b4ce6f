/**
 * The program of one worker of the demo: a swarm of its own, with credentials that its parent hands over, that takes
 * tasks until it is told to stop. It ends with its parent, whose process the channel belongs to. Few imports: it starts
 * while the user waits.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { FabricError } from '../errors.ts';
import { join, type Membership } from '../sdk/join.ts';
import type { ClaimAnswer } from '../sdk/task.ts';
import { type Registration, runWorker } from '../sdk/worker.ts';
import { work } from './work.ts';
import type { FromWorker, ToWorker } from './worker-messages.ts';

const registration: Registration = { capabilities: ['measure', 'summarise', 'recheck'], cost_per_hour: 0 };

class DemoWorker {
  readonly #stop = new AbortController();
  #membership: Membership | undefined;

  async take(message: ToWorker): Promise<void> {
    if ('stop' in message) this.#stop.abort();
    else if ('join' in message) await this.#join(message.join);
    else if ('race' in message) await this.#race(message.race);
    else await this.#run();
  }

  async #join(how: { servers: readonly string[]; namespace: string; creds: string }): Promise<void> {
    this.#membership = await join(how);
    await this.#membership.client.request('swarm', 'register', { ...registration });
    tell({ joined: true });
  }

  async #race({ task_id, at }: { task_id: string; at: number }): Promise<void> {
    const { client } = this.#membership!;
    await delay(Math.max(0, at - Date.now()));
    const asked_at = performance.timeOrigin + performance.now();
    const begun = performance.now();
    const answer = await client.request<ClaimAnswer>('task', 'claim', { task_id });
    const ms = performance.now() - begun;
    if (answer.claimed) await client.request('task', 'complete', { task_id, token: answer.token, result: null });
    const owner = answer.claimed ? answer.task.owner : (answer.owner ?? null);
    tell({ raced: { claimed: answer.claimed, owner, asked_at, ms } });
  }

  async #run(): Promise<void> {
    const { client, close } = this.#membership!;
    await runWorker({
      client,
      registration,
      signal: this.#stop.signal,
      drainMs: 1_000,
      work,
      onEvent: (event) => tell({ event }),
    });
    await close();
    process.disconnect();
  }
}

function tell(message: FromWorker): void {
  if (process.connected) process.send?.(message);
}

function give(error: unknown): never {
  const message = error instanceof Error ? error.message : String(error);
  tell({ failed: error instanceof FabricError ? `${message} (${error.code})` : message });
  process.exit(1);
}

const worker = new DemoWorker();
process.on('message', (message: ToWorker) => {
  worker.take(message).catch(give);
});
// A Ctrl-C on the terminal is for the parent to handle; when the parent is gone, so is the channel.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit(0));
