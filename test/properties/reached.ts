/** The shared log, timers and registers, as one process reaches them. */
import type { ActorRef } from '../../machines/address.ts';
import { formatRef } from '../../machines/address.ts';
import type { Json } from '../../machines/record.ts';
import type { SimulatedClock } from '../../src/clock.ts';
import type { Appended, RecordLog, StoredRecord, Write } from '../../src/store/record-log.ts';
import type { Registered, Registers } from '../../src/store/registers.ts';
import type { PendingTimer, Timer, TimerConsumer, Timers } from '../../src/store/timers.ts';
import type { Reach } from './reach.ts';

export class ReachedLog implements RecordLog {
  readonly #reach: Reach;
  readonly #log: RecordLog;

  constructor(reach: Reach, log: RecordLog) {
    this.#reach = reach;
    this.#log = log;
  }

  async read(ref: ActorRef): Promise<StoredRecord | undefined> {
    return await this.#reach.read(formatRef(ref), async () => await this.#log.read(ref));
  }

  async lastRevision(kind: string): Promise<number> {
    return await this.#reach.read(`the last ${kind}`, async () => await this.#log.lastRevision(kind));
  }

  async append(writes: readonly Write[], deadline: number): Promise<Appended> {
    const what = writes.map(({ record }) => `${record.event.type} ${formatRef(record)}`).join(', ');
    return await this.#reach.write(what, async () => await this.#log.append(writes, deadline));
  }

  async *history(ref: ActorRef): AsyncIterable<StoredRecord> {
    yield* this.#log.history(ref);
  }
}

export class ReachedTimers implements Timers {
  readonly #reach: Reach;
  readonly #timers: Timers;

  constructor(reach: Reach, timers: Timers) {
    this.#reach = reach;
    this.#timers = timers;
  }

  async set(timer: Timer): Promise<number> {
    return await this.#reach.write(nameOf(timer.what, timer.id), async () => await this.#timers.set(timer));
  }

  async get(what: string, id: string): Promise<PendingTimer | undefined> {
    return await this.#reach.read(nameOf(what, id), async () => await this.#timers.get(what, id));
  }

  async replace(timer: Timer, revision: number): Promise<number | undefined> {
    const name = nameOf(timer.what, timer.id);
    return await this.#reach.write(name, async () => await this.#timers.replace(timer, revision));
  }

  async cancel(what: string, id: string, onlyRevision?: number): Promise<void> {
    const name = `the end of ${nameOf(what, id)}`;
    await this.#reach.write(name, async () => await this.#timers.cancel(what, id, onlyRevision));
  }

  async consume(): Promise<TimerConsumer> {
    throw new Error('due timers are handed to processes by the fabric of the test');
  }
}

function nameOf(what: string, id: string): string {
  return `timer ${what}.${id}`;
}

/** One value per kind and id, gone after its time. */
export class MemoryRegisters implements Registers {
  readonly #clock: SimulatedClock;
  readonly #values = new Map<string, Registered & { readonly until: number }>();
  #revision = 0;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  async read(what: string, id: string): Promise<Registered | undefined> {
    return structuredClone(this.#present(what, id));
  }

  async change(what: string, id: string, value: Json, keepMs: number, expected: number): Promise<number | undefined> {
    if ((this.#present(what, id)?.revision ?? 0) !== expected) return undefined;
    const revision = ++this.#revision;
    this.#values.set(`${what}.${id}`, { value, revision, until: this.#clock.now() + keepMs });
    return revision;
  }

  #present(what: string, id: string): Registered | undefined {
    const found = this.#values.get(`${what}.${id}`);
    return found && found.until > this.#clock.now() ? found : undefined;
  }
}

export class ReachedRegisters implements Registers {
  readonly #reach: Reach;
  readonly #registers: Registers;

  constructor(reach: Reach, registers: Registers) {
    this.#reach = reach;
    this.#registers = registers;
  }

  async read(what: string, id: string): Promise<Registered | undefined> {
    return await this.#reach.read(`register ${what}.${id}`, async () => await this.#registers.read(what, id));
  }

  async change(what: string, id: string, value: Json, keepMs: number, expected: number): Promise<number | undefined> {
    return await this.#reach.write(
      `register ${what}.${id}`,
      async () => await this.#registers.change(what, id, value, keepMs, expected),
    );
  }
}
