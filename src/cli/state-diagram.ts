/**
 * The state diagram of an actor, derived from the definition of its machine, with the present state marked: as text for
 * terminals, or in Mermaid's language for documents.
 */
import type { AnyStateMachine, AnyStateNode } from 'xstate';
import type { StateValue } from '../../machines/record.ts';

/** The events that lead from one state to another. */
interface Arrow {
  readonly to: string;
  readonly events: readonly string[];
}

interface State {
  readonly name: string;
  readonly isInitial: boolean;
  readonly isFinal: boolean;
  readonly arrows: readonly Arrow[];
}

/** One set of states of which exactly one is present. */
interface Region {
  /** Undefined when the machine has only one. */
  readonly name: string | undefined;
  readonly states: readonly State[];
}

/** The first state of every machine, which is never recorded: the actor does not exist yet. */
const absent = 'absent';

function regionsOf(logic: AnyStateMachine): Region[] {
  const { root } = logic;
  if (root.type !== 'parallel') return [{ name: undefined, states: statesOf(root) }];
  return Object.values(root.states).map((region: AnyStateNode) => ({ name: region.key, states: statesOf(region) }));
}

function statesOf(region: AnyStateNode): State[] {
  const initial = region.initial.target[0]?.key;
  const states: AnyStateNode[] = Object.values(region.states);
  return states.map((state) => ({
    name: state.key,
    isInitial: state.key === initial,
    isFinal: state.type === 'final',
    arrows: arrowsOf(state, region),
  }));
}

function arrowsOf(state: AnyStateNode, region: AnyStateNode): Arrow[] {
  const arrows = new Map<string, Set<string>>();
  const add = (to: string, event: string) => {
    const events = arrows.get(to) ?? new Set();
    arrows.set(to, events.add(event));
  };
  // What the region itself reacts to leads on from every state of it.
  for (const transition of [...state.transitions.values(), ...region.transitions.values()].flat()) {
    const target = transition.target?.[0];
    const isInside = target === undefined || target.parent === region;
    if (isInside) add(target?.key ?? state.key, transition.eventType);
  }
  for (const { target, guard } of state.always ?? []) {
    add(target?.[0]?.key ?? state.key, typeof guard === 'string' ? `"${guard}"` : 'always');
  }
  return [...arrows].map(([to, events]) => ({ to, events: [...events] }));
}

function isPresent(value: StateValue, region: Region, state: State): boolean {
  const present = region.name === undefined || typeof value === 'string' ? value : value[region.name];
  return present === state.name;
}

/** For terminals: each state with what leads out of it; the present ones are marked with `>`. */
export function textDiagram(logic: AnyStateMachine, value: StateValue): string {
  const lines: string[] = [];
  for (const region of regionsOf(logic)) {
    if (region.name !== undefined) lines.push(`${region.name}:`);
    for (const state of region.states) {
      const mark = isPresent(value, region, state) ? '> ' : '  ';
      lines.push(`${mark}${shownName(state.name)}${state.isFinal ? ' (final)' : ''}`);
      for (const { to, events } of state.arrows) {
        lines.push(`      ${to === state.name ? 'stays' : `-> ${shownName(to)}`} on ${events.join(', ')}`);
      }
    }
  }
  return lines.join('\n');
}

function shownName(state: string): string {
  return state === absent ? '(does not exist)' : state;
}

/** A flat `stateDiagram-v2`, since Mermaid colours no states inside of others; the present states have the class `present`. */
export function mermaidDiagram(logic: AnyStateMachine, value: StateValue): string {
  const lines = ['stateDiagram-v2', '  classDef present stroke-width:4px,font-weight:bold'];
  const present: string[] = [];
  for (const region of regionsOf(logic)) {
    const nodeOf = (state: string) =>
      state === absent ? '[*]' : region.name === undefined ? state : `${region.name}_${state}`;
    for (const state of region.states) {
      const node = nodeOf(state.name);
      if (state.name !== absent && region.name !== undefined)
        lines.push(`  state "${region.name}: ${state.name}" as ${node}`);
      if (state.name !== absent && state.isInitial) lines.push(`  [*] --> ${node}`);
      for (const { to, events } of state.arrows) lines.push(`  ${node} --> ${nodeOf(to)}: ${events.join(', ')}`);
      if (state.isFinal) lines.push(`  ${node} --> [*]`);
      if (state.name !== absent && isPresent(value, region, state)) present.push(node);
    }
  }
  return [...lines, ...present.map((node) => `  class ${node} present`)].join('\n');
}
