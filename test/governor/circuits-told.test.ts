/** Of which openings of circuits people are told, on a simulated clock. */
import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { Circuits } from '../../actors/governor/circuits.ts';
import { PolicyKnown } from '../../actors/policy-known.ts';
import { SwarmIndex } from '../../actors/swarm-index/swarm-index.ts';
import { defaultPolicy } from '../../machines/policy/values.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import { SimulatedClock } from '../../src/clock.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { Lanes } from '../../src/store/lanes.ts';
import type { Notice } from '../../src/store/mailbox-message.ts';
import { MemoryRecordLog } from '../../src/store/memory-record-log.ts';
import { MemoryTimers } from '../../src/store/memory-timers.ts';
import { newId } from '../../src/store/unique-id.ts';
import { MemoryRegisters } from '../properties/reached.ts';

function world() {
  const clock = new SimulatedClock();
  const records = new MemoryRecordLog();
  const registers = new MemoryRegisters(clock);
  const told: Notice[] = [];
  const people = { refuse: false };
  const governors: Array<{ circuits: Circuits; swarms: SwarmIndex }> = [];
  const store = new ActorStore({
    log: records,
    clock,
    newId,
    onCommit: (committed) => {
      for (const stored of committed)
        for (const { circuits, swarms } of governors) {
          swarms.apply(stored);
          circuits.apply(stored);
        }
    },
  });
  const governor = async () => {
    const swarms = new SwarmIndex();
    const circuits = new Circuits({
      store,
      lanes: new Lanes(),
      timers: new MemoryTimers(clock),
      registers,
      clock,
      log: pino({ level: 'silent' }),
      newId,
      policy: new PolicyKnown(defaultPolicy),
      swarms,
      notify: () => {},
      deliver: async (_to, _type, notice) => {
        if (people.refuse) throw new Error('the mailbox is full');
        told.push(notice);
      },
    });
    for (const stored of records.all) swarms.apply(stored);
    for (const stored of records.all) circuits.apply(stored);
    governors.push({ circuits, swarms });
    await circuits.sweep();
    return circuits;
  };
  const swarm = async (event: { type: string; [field: string]: unknown }) =>
    await store.dispatch(swarmMachine, 'cedar', event, { by: 'IF.test', trace_id: 'trace-1' });
  const sweep = async () => {
    for (const { circuits } of governors) await circuits.sweep();
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  return { clock, told, people, governor, swarm, sweep };
}

const registered = { type: 'REGISTER', capabilities: [], cost_per_hour: 0 };

describe('an opening of a circuit', () => {
  it('is told to people also when the circuit was closed again before their mailbox took it', async () => {
    const { clock, told, people, governor, swarm, sweep } = world();
    await governor();
    await swarm(registered);
    people.refuse = true;
    await swarm({ type: 'TRIP', reason: 'failures' });
    const opened_at = clock.now();
    await sweep();
    await clock.advance(1_000);
    await swarm({ type: 'RESET' });
    people.refuse = false;
    await clock.advance(30_000);
    await sweep();
    expect(told).toMatchObject([{ id: `circuit.cedar.${opened_at}`, reasons: ['failures'], opened_at }]);
  });

  it('is told once, whatever else happens to the swarm meanwhile, and by whichever governor', async () => {
    const { clock, told, governor, swarm, sweep } = world();
    await governor();
    await swarm(registered);
    await swarm({ type: 'TRIP', reason: 'failures' });
    await sweep();
    await swarm({ type: 'OFFLINE' });
    await swarm({ type: 'ONLINE' });
    await governor();
    await sweep();
    expect(told).toHaveLength(1);
    await clock.advance(1_000);
    await swarm({ type: 'RESET' });
    await swarm({ type: 'TRIP', reason: 'failures' });
    await sweep();
    expect(new Set(told.map(({ id }) => id)).size).toBe(2);
  });
});
