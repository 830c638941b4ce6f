import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { approvalRules } from '../../machines/approval/rules.ts';
import { blockerRules } from '../../machines/blocker/rules.ts';
import { fleetRules } from '../../machines/fleet/rules.ts';
import { policyRules } from '../../machines/policy/rules.ts';
import { kinds, machineOf } from '../../machines/registry.ts';
import { semaphoreRules } from '../../machines/semaphore/rules.ts';
import { serviceRules } from '../../machines/service/rules.ts';
import { swarmRules } from '../../machines/swarm/rules.ts';
import { taskRules } from '../../machines/task/rules.ts';

const rulesOf: Readonly<Record<string, object>> = {
  task: taskRules,
  swarm: swarmRules,
  blocker: blockerRules,
  approval: approvalRules,
  fleet: fleetRules,
  policy: policyRules,
  semaphore: semaphoreRules,
  service: serviceRules,
};

/** The cells of the table of kinds in the protocol, by kind. */
const rows = new Map(
  readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => /^\| `[a-z]+`.*\| `[A-Z]/.test(line))
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map(([, kind = '', states = '', events = '']) => [/`(\w+)`/.exec(kind)?.[1] ?? '', { states, events }]),
);

function names(cell: string | undefined): string[] {
  return [...(cell ?? '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name);
}

/** The names of all states of a chart but the first, which is never recorded; of all its regions where there are several. */
function stateNames(kind: string): string[] {
  const { states } = machineOf(kind)!.logic.root;
  const regions = Object.values(states).flatMap((state) => Object.keys(state.states));
  return (regions.length > 0 ? regions : Object.keys(states)).filter((name) => name !== 'absent');
}

describe('the table of kinds in the protocol', () => {
  it('has each kind of actor, and no other', () => {
    expect([...rows.keys()].sort()).toEqual([...kinds].sort());
    expect(Object.keys(rulesOf).sort()).toEqual([...kinds].sort());
  });

  it.each(kinds)('lists the states and events of a %s', (kind) => {
    expect(names(rows.get(kind)?.states).sort()).toEqual(stateNames(kind).sort());
    expect(names(rows.get(kind)?.events).sort()).toEqual(Object.keys(rulesOf[kind] ?? {}).sort());
  });
});
