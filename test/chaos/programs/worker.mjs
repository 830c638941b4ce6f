// A swarm of a chaos run. Some are workers as the SDK runs them; the others do what a worker should not: they claim what
// others are about to claim, use tokens that they should no longer use, say things twice, sleep through their leases.
import { setTimeout as delay } from 'node:timers/promises';
import { runWorker } from '../../../dist/src/sdk/worker.js';
import { numbers } from '../numbers.mjs';
import { asMember, tell } from './membership.mjs';

const registration = { capabilities: ['chaos'], cost_per_hour: 0 };
const pause = async (ms, signal) => await delay(ms, undefined, { signal }).catch(() => {});
// Refusals that are answers to what an unruly swarm does.
const expected = new Set(['STALE_TOKEN', 'NOT_OWNER', 'TASK_NOT_AVAILABLE', 'CONFLICT', 'RATE_LIMITED']);

class Unruly {
  // Of the past, also of that of an earlier process of this swarm.
  #tokens = [];

  constructor(client, signal, random) {
    Object.assign(this, { client, signal, random });
  }

  async run() {
    await this.#claimAgain();
    while (!this.signal.aborted) {
      const task_id = await this.#choose();
      if (task_id === undefined) await pause(50 + this.random() * 200, this.signal);
      else await this.#race(task_id);
      if (this.random() < 0.05) await this.#misuse();
    }
  }

  /** A process that was killed may have owned tasks, whose tokens it no longer knows. */
  async #claimAgain() {
    const { tasks } = await this.client.request('task', 'list', { owner: this.client.callerId, limit: 10 });
    for (const { task_id, state } of tasks) if (/claimed|in_progress/.test(state)) await this.#race(task_id);
  }

  /** One of the tasks that come next: so all unruly swarms go for the same few. */
  async #choose() {
    const { tasks } = await this.client.request('task', 'list', { state: 'available', limit: 5 });
    return tasks[Math.floor(this.random() * tasks.length)]?.task_id;
  }

  async #race(task_id) {
    const answer = await this.client.request('task', 'claim', { task_id });
    if (!answer.claimed) return this.random() < 0.2 ? await this.#ask('get', { task_id }) : undefined;
    const { task, token } = answer;
    this.#tokens = [{ task_id, token }, ...this.#tokens].slice(0, 8);
    await this.#work(task, { task_id, token });
  }

  async #work(task, hold) {
    const result = { by: this.client.callerId, attempt: task.attempt };
    const chance = this.random();
    if (chance < 0.7) await this.#ask('start', hold);
    if (chance < 0.04) return await this.#ask('release', hold);
    if (chance < 0.07) return await this.#ask('fail', { ...hold, error: 'chance', retryable: true });
    if (chance < 0.1) await pause(task.lease_expires_at - Date.now() + this.random() * 1_500 - 300, this.signal);
    else await this.#labour(task, hold);
    await this.#ask('complete', { ...hold, result });
    if (chance > 0.95) await this.#ask('complete', { ...hold, result });
    if (chance > 0.98) await this.#ask('complete', { ...hold, result: 'another' });
  }

  async #labour({ metadata, lease_expires_at, claimed_at }, hold) {
    const until = performance.now() + (metadata.work_ms ?? 0);
    const beat = Math.max(200, ((lease_expires_at ?? 0) - (claimed_at ?? 0)) / 3);
    for (let left = until - performance.now(); left > 0 && !this.signal.aborted; left = until - performance.now()) {
      await pause(Math.min(left, beat), this.signal);
      if (left > beat && (await this.#ask('heartbeat', hold)) === undefined) return;
    }
  }

  /** A token of the past, that counts no longer, or, after a lost answer, perhaps still. */
  async #misuse() {
    const hold = this.#tokens[Math.floor(this.random() * this.#tokens.length)];
    if (!hold) return;
    const ops = ['start', 'complete', 'release', 'heartbeat'];
    const op = ops[Math.floor(this.random() * ops.length)];
    await this.#ask(op, { ...hold, ...(op === 'complete' ? { result: 'late' } : {}) });
  }

  async #ask(op, body) {
    try {
      return await this.client.request('task', op, body);
    } catch (error) {
      if (!expected.has(error.code)) throw error;
      return undefined;
    }
  }
}

await asMember(async ({ client, signal, style, seed }) => {
  const random = numbers(seed);
  await client.request('swarm', 'register', registration);
  tell({ ready: true });
  if (style === 'sdk')
    await runWorker({
      client,
      signal,
      drainMs: 3_000,
      work: async (task, context) => {
        await pause(task.metadata.work_ms ?? 0, context.signal);
        context.signal.throwIfAborted();
        if (random() < 0.01) throw new Error('chance');
        return { by: client.callerId, attempt: task.attempt };
      },
    });
  else await new Unruly(client, signal, random).run();
});
