/**
 * A task that several swarms use at once, simulated: every operation takes effect at one moment between its call and its
 * return, or, when its answer is lost, at any later moment or never. Leases run out at their time or somewhat later. What
 * it does is written down in the rules' words, not with the model that checks it.
 */
import type { ClaimOutput, Refused, Shown, TaskOperation } from './task-operation.ts';

export interface Simulation {
  readonly random: () => number;
  readonly swarms: number;
  /** How many operations each swarm has asked for at the end. */
  readonly operations: number;
  /** The share of answers that are lost, 0 to 1. */
  readonly lost: number;
}

const lease_ms = 1_000;
const maxAttempts = 1_000;

/** Something that happens at a time: an operation is asked for, takes effect, or is answered. */
interface Moment {
  readonly at: number;
  readonly happen: (now: number) => void;
}

export function simulate({ random, swarms, operations, lost }: Simulation, key = 'task-1'): TaskOperation[] {
  const moments: Moment[] = [];
  const history: TaskOperation[] = [];
  const task = new SimulatedTask();
  const within = (from: number, ms: number, happen: Moment['happen']) =>
    moments.push({ at: from + random() * ms, happen });

  const ask = (swarm: Swarm, call: number) => {
    if (swarm.asked++ >= operations) return;
    const asked = swarm.choose(random, call === 0);
    const tag = { process: swarm.id, key, call, ...asked };
    if (random() < lost) {
      history.push({ ...tag, output: undefined, return: Number.POSITIVE_INFINITY } as TaskOperation);
      // What is lost on the way there has no effect at all.
      if (random() < 0.5) within(call, 3_000, (now) => task.take(swarm.id, asked, now));
      within(call + 300, 300, (now) => ask(swarm, now));
      return;
    }
    within(call, 100, (effective) => {
      const output = task.take(swarm.id, asked, effective);
      within(effective, 50, (answered) => {
        history.push({ ...tag, output, return: answered } as TaskOperation);
        swarm.learn(output);
        within(answered, random() < 0.1 ? 2_500 : 150, (now) => ask(swarm, now));
      });
    });
  };

  for (let i = 0; i < swarms; i++) ask(new Swarm(`swarm-${i}`), 0);
  while (moments.length > 0) {
    moments.sort((a, b) => a.at - b.at);
    const { at, happen } = moments.shift()!;
    task.expire(at, random() < 0.7);
    happen(at);
  }
  return history;
}

type Asked = Pick<TaskOperation, 'op' | 'input'>;
type Answer = Shown | ClaimOutput | Refused;

/** What one swarm does: it claims, and then uses the token that it got, also when it should no longer. */
class Swarm {
  readonly id: string;
  asked = 0;
  #token: number | undefined;

  constructor(id: string) {
    this.id = id;
  }

  choose(random: () => number, first: boolean): Asked {
    if (first)
      return { op: 'create', input: { lease_ms, max_attempts: maxAttempts, may_wait: false, backs_off: false } };
    const token = this.#token;
    const chance = random();
    if (chance < 0.15) return { op: 'get', input: null };
    if (token === undefined || chance < 0.35) return { op: 'claim', input: null };
    if (chance < 0.55) return { op: 'start', input: { token } };
    if (chance < 0.75) return { op: 'heartbeat', input: { token } };
    if (chance < 0.87) return { op: 'release', input: { token } };
    if (chance < 0.95) return { op: 'fail', input: { token, retryable: true } };
    return { op: 'complete', input: { token, result: this.id } };
  }

  learn(output: Answer): void {
    if ('claimed' in output && output.claimed) this.#token = output.token;
  }
}

class SimulatedTask {
  #state: 'absent' | 'available' | 'claimed' | 'in_progress' | 'completed' = 'absent';
  #owner: string | null = null;
  #token = 0;
  #deadline = 0;
  #last = '';
  #result = '';

  /** The lease is over, if its time has come, unless that is noticed later. */
  expire(now: number, isNoticed: boolean): void {
    if (isNoticed && this.#isOwned && now >= this.#deadline) this.#free('expiry');
  }

  take(by: string, { op, input }: Asked, now: number): Answer {
    if (op === 'create') {
      if (this.#state === 'absent') this.#free('create');
      return this.#shown;
    }
    if (this.#state === 'absent') return { refused: 'TASK_NOT_FOUND' };
    if (op === 'get') return this.#shown;
    if (op === 'claim') return this.#claim(by, now);
    const { token, result } = input as { token: number; result?: string };
    const asked = `${op} ${by} ${token}`;
    if ((op === 'release' || op === 'fail') && this.#last === asked) return this.#shown;
    if (by !== this.#owner || token !== this.#token) return { refused: 'STALE_TOKEN' };
    if (!this.#isOwned) {
      const isRepeated = op === 'complete' && result === this.#result;
      return isRepeated ? this.#shown : { refused: 'TASK_NOT_AVAILABLE' };
    }
    this.#last = asked;
    if (op === 'release' || op === 'fail') this.#free(asked);
    if (op === 'start') this.#state = 'in_progress';
    if (op === 'start' || op === 'heartbeat') this.#deadline = now + lease_ms;
    if (op === 'complete') {
      this.#state = 'completed';
      this.#result = result ?? '';
    }
    return this.#shown;
  }

  #claim(by: string, now: number): ClaimOutput {
    if (this.#isOwned && this.#owner === by) return { claimed: true, token: this.#token };
    if (this.#state !== 'available') return { claimed: false, reason: 'TASK_NOT_AVAILABLE', owner: this.#owner };
    this.#state = 'claimed';
    this.#owner = by;
    this.#token++;
    this.#deadline = now + lease_ms;
    this.#last = '';
    return { claimed: true, token: this.#token };
  }

  get #isOwned(): boolean {
    return this.#state === 'claimed' || this.#state === 'in_progress';
  }

  get #shown(): Shown {
    return { state: this.#state, owner: this.#owner };
  }

  #free(last: string): void {
    this.#state = 'available';
    this.#owner = null;
    this.#last = last;
  }
}
