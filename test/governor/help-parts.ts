/** Coordinators' and governors' parts in blockers on one log with a simulated clock, and swarms that can be asked. */
import pino from 'pino';
import { BlockerOperations } from '../../actors/coordinator/blockers/blocker-operations.ts';
import type { BlockerView } from '../../actors/coordinator/blockers/blocker-view.ts';
import { HelpForBlockers } from '../../actors/governor/help/help-for-blockers.ts';
import { PolicyKnown } from '../../actors/policy-known.ts';
import { SwarmIndex } from '../../actors/swarm-index/swarm-index.ts';
import { blockerMachine } from '../../machines/blocker/machine.ts';
import { defaultPolicy, type GovernorPolicy } from '../../machines/policy/values.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { SimulatedClock } from '../../src/clock.ts';
import { FabricError } from '../../src/errors.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { Lanes } from '../../src/store/lanes.ts';
import type { Notice, NoticeType } from '../../src/store/mailbox-message.ts';
import { MemoryRecordLog } from '../../src/store/memory-record-log.ts';
import { MemoryTimers } from '../../src/store/memory-timers.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { newId } from '../../src/store/unique-id.ts';
import { MemoryRegisters } from '../properties/reached.ts';

export interface Told {
  readonly to: string;
  readonly type: NoticeType;
  readonly notice: Notice;
}

const log = pino({ level: process.env['TEST_LOG'] ?? 'silent' });

/** One log, one clock, and the processes on it, each of which sees every commit. */
export class HelpWorld {
  readonly clock = new SimulatedClock();
  readonly records = new MemoryRecordLog();
  readonly timers = new MemoryTimers(this.clock);
  readonly registers = new MemoryRegisters(this.clock);
  readonly told: Told[] = [];
  /** What was sent, also where it was told before. */
  readonly sent: Told[] = [];
  readonly coordinator: BlockerOperations;
  readonly governors: HelpForBlockers[] = [];
  /** While it is set, people's mailbox refuses. */
  refusesPeople = false;
  /** While it is set, what the coordinator tells is lost, as when its process ends after a commit. */
  losesNotices = false;
  readonly #policy: PolicyKnown;
  readonly #swarms = new SwarmIndex();
  readonly #store: ActorStore;

  constructor(policy: Partial<GovernorPolicy> = {}) {
    this.#policy = new PolicyKnown({ ...defaultPolicy, ...policy });
    this.#store = this.#storeOf((stored) => this.coordinator.committed(stored));
    const store = this.#store;
    const helpers = { swarms: this.#swarms, policy: this.#policy };
    this.coordinator = new BlockerOperations({
      store,
      lanes: new Lanes(),
      newId,
      notify: this.#notifyUnlessLost,
      helpers,
    });
  }

  /** A governor that begins with what the log holds. */
  async governor(): Promise<HelpForBlockers> {
    const { clock, timers, registers } = this;
    let governor: HelpForBlockers | undefined;
    const store = this.#storeOf((stored) => governor?.committed(stored));
    governor = new HelpForBlockers({
      store,
      lanes: new Lanes(),
      timers,
      registers,
      clock,
      log,
      newId,
      policy: this.#policy,
      swarms: this.#swarms,
      notify: this.#notify,
      deliver: async (to, type, notice) => {
        if (this.refusesPeople) throw new Error('the mailbox is full');
        this.#notify(to, type, notice);
      },
    });
    for (const stored of this.records.all) governor.apply(stored);
    this.governors.push(governor);
    governor.begin();
    await governor.sweep();
    return governor;
  }

  /** The swarm registers, or describes itself anew. */
  async able(id: string, fields: object = {}): Promise<void> {
    const event = { type: 'REGISTER', capabilities: ['ops:database'], cost_per_hour: 1, ...fields };
    await this.#store.dispatch(swarmMachine, id, event, { by: id, trace_id: 'trace-1' });
  }

  /** The swarm has not been heard of for a while. */
  async offline(id: string): Promise<void> {
    await this.#store.dispatch(swarmMachine, id, { type: 'OFFLINE' }, { by: 'IF.coordinator', trace_id: 'trace-1' });
  }

  isOnline(id: string): boolean {
    return this.#swarms.get(id)?.state.liveness === 'online';
  }

  /** Something that a swarm does, or that happens to it; what is refused changes nothing. */
  async step(what: string, by: string, blocker_id: string): Promise<void> {
    const steps: Record<string, () => Promise<unknown>> = {
      join: async () => await this.coordinator.join(by, blocker_id),
      decline: async () => await this.coordinator.decline(by, blocker_id),
      able: async () => await this.able(by),
      offline: async () => await this.offline(by),
    };
    await steps[what]!().catch((error: unknown) => {
      if (!(error instanceof FabricError)) throw error;
    });
  }

  async report(fields: object = {}): Promise<string> {
    const report = {
      type: 'access',
      description: 'no access',
      severity: 'high',
      required_capabilities: ['ops:database'],
    };
    return (await this.coordinator.report('stuck', { ...report, ...fields } as never)).blocker_id;
  }

  /** A report whose commit asks nobody, as one of an older version. */
  async bareReport(): Promise<string> {
    const content = {
      blocker_type: 'access',
      description: '',
      severity: 'high',
      required_capabilities: ['ops:database'],
    };
    const event = { type: 'REPORT', ...content, by: 'stuck', task_id: null, token: null, trace_id: 'trace-1' };
    await this.#store.dispatch(blockerMachine, 'bare', event, { by: 'stuck', trace_id: 'trace-1' });
    return 'bare';
  }

  async blocker(id: string): Promise<BlockerView> {
    return await this.coordinator.get(id);
  }

  /** The answers of those who were asked, by their ids. */
  async answers(id: string): Promise<Record<string, string>> {
    const { helpers } = await this.blocker(id);
    return Object.fromEntries(helpers.map(({ swarm_id, answer }) => [swarm_id, answer]));
  }

  /** The events of a blocker, oldest first. */
  async events(id: string): Promise<string[]> {
    return this.records.all.filter(({ record }) => record.id === id).map(({ record }) => record.event.type);
  }

  /** Whom a notice of this type was sent to, in order. */
  toldOf(type: string): string[] {
    return this.told.filter(({ notice }) => notice.type === type).map(({ to }) => to);
  }

  /** What was begun in the background has ended. */
  async settled(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  async sweep(): Promise<void> {
    for (const governor of this.governors) await governor.sweep();
    await this.settled();
  }

  /** Timers go to the first governor. */
  async handleTimers(): Promise<void> {
    await this.timers.consume(async (timer) => await this.governors[0]!.due(timer));
  }

  /** As mailboxes do: the same notice to the same reader is one. */
  readonly #notify = (to: string, type: NoticeType, notice: Notice): void => {
    this.sent.push({ to, type, notice });
    if (!this.told.some((one) => one.to === to && one.notice.id === notice.id)) this.told.push({ to, type, notice });
  };

  readonly #notifyUnlessLost = (to: string, type: NoticeType, notice: Notice): void => {
    if (!this.losesNotices) this.#notify(to, type, notice);
  };

  #storeOf(committed: (stored: StoredRecord) => void): ActorStore {
    return new ActorStore({
      log: this.records,
      clock: this.clock,
      newId,
      onCommit: (stored) => {
        for (const one of stored) {
          if (one.record.kind === 'swarm') this.#swarms.apply(one);
          this.coordinator.apply(one);
          for (const governor of this.governors) governor.apply(one);
          committed(one);
        }
      },
    });
  }
}

/** A blocker that is reported in a world with one governor, where these swarms can help; `timers` are handled if set. */
export async function reported(
  swarms: readonly string[],
  { policy, timers = false }: { policy?: Partial<GovernorPolicy>; timers?: boolean } = {},
): Promise<{ world: HelpWorld; id: string }> {
  const world = new HelpWorld(policy);
  for (const id of swarms) await world.able(id);
  await world.governor();
  if (timers) await world.handleTimers();
  return { world, id: await world.report() };
}
