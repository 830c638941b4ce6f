import { describe, expect, it } from 'vitest';
import { capabilityMatch, isPrivilege, missingCapabilities } from '../../machines/capability.ts';
import { decide } from '../../machines/machine.ts';
import { kinds, machineOf } from '../../machines/registry.ts';
import { rehydrate } from '../../machines/rehydrated.ts';
import { create } from './task-events.ts';

describe('the registry of machines', () => {
  it('knows each kind, and no other', () => {
    for (const kind of kinds) expect(machineOf(kind)?.kind).toBe(kind);
    expect(machineOf('constructor')).toBeUndefined();
  });

  it('has machines whose absent snapshot is the first of their state chart', () => {
    for (const kind of kinds) {
      const machine = machineOf(kind)!;
      expect(machine.logic.getInitialSnapshot({} as never)).toMatchObject(machine.absent);
    }
  });

  it('decides for an actor of any kind', () => {
    const task = machineOf('task')!;
    expect(decide(task, task.absent, create())).toMatchObject({ accepted: true, snapshot: { value: 'available' } });
  });
});

describe('a snapshot from a record', () => {
  it('of a state that the machine does not have is an error, not another state', () => {
    const task = machineOf('task')!;
    expect(() => rehydrate(task.logic, { ...task.absent, value: 'nowhere' })).toThrow(/nowhere/);
  });

  it('keeps its own context, also after another one of the same state', () => {
    const task = machineOf('task')!;
    const [one, two] = [{ n: 1 }, { n: 2 }].map((context) => rehydrate(task.logic, { ...task.absent, context }));
    expect([one?.context, two?.context]).toEqual([{ n: 1 }, { n: 2 }]);
  });
});

describe('capabilities', () => {
  it('match by the part of what is required that is there', () => {
    expect(capabilityMatch([], [])).toBe(1);
    expect(capabilityMatch(['a', 'b'], ['a', 'c', 'd', 'b'])).toBe(0.5);
    expect(missingCapabilities(['a'], ['c', 'a', 'b'])).toEqual(['c', 'b']);
  });

  it('match by exactly a tenth for each of ten', () => {
    const ten = Array.from({ length: 10 }, (_, i) => `c:${i}`);
    expect(ten.map((_, i) => capabilityMatch(ten.slice(0, i), ten))).toEqual([
      0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9,
    ]);
  });

  it('are privileges when dotted and without a category', () => {
    expect(isPrivilege('system.process.execute')).toBe(true);
    expect(isPrivilege('framework:next.js')).toBe(false);
    expect(isPrivilege('python')).toBe(false);
  });
});
