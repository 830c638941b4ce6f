/**
 * Decides whether a history is linearizable: whether each operation can be given one moment between its call and its
 * return so that, in the order of these moments, a sequential object gives the same answers. The search is that of Wing
 * and Gong with the memory of Lowe (Testing for linearizability, 2017): a set of operations that were placed, with the
 * state that they led to, is looked at once. Each key is searched by itself, since a history of independent objects is
 * linearizable exactly when that of each object is (Herlihy and Wing, 1990).
 */
import { byKey, type Model, type Operation } from './history.ts';

export type Verdict<State, Op> =
  | { readonly ok: true; readonly searched: number }
  | { readonly ok: false; readonly searched: number; readonly violation: Violation<State, Op> }
  /** The search was given up; nothing is known. */
  | { readonly ok: undefined; readonly searched: number };

export interface Violation<State, Op> {
  /** The longest order that was found, */
  readonly placed: readonly Op[];
  /** the state that it led to, */
  readonly state: State;
  /** and the operations of which none can come next. */
  readonly stuck: readonly Op[];
}

export interface HistoryVerdict<State, Op> {
  readonly ok: boolean;
  readonly keys: number;
  readonly operations: number;
  /** The keys whose histories are not linearizable. */
  readonly violations: readonly (Violation<State, Op> & { readonly key: string })[];
  /** The keys whose search was given up. */
  readonly undecided: readonly string[];
}

/** Sets of placed operations that are looked at per key before the search is given up. */
const patience = 1_000_000;

export function checkHistory<State, Op extends Operation>(
  history: readonly Op[],
  model: Model<State, Op>,
): HistoryVerdict<State, Op> {
  const histories = byKey(history);
  const violations: (Violation<State, Op> & { key: string })[] = [];
  const undecided: string[] = [];
  for (const [key, operations] of histories) {
    const verdict = checkKey(operations, model);
    if (verdict.ok === false) violations.push({ key, ...verdict.violation });
    if (verdict.ok === undefined) undecided.push(key);
  }
  const ok = violations.length === 0 && undecided.length === 0;
  return { ok, keys: histories.size, operations: history.length, violations, undecided };
}

/** A set of operations that were placed, and the state that they led to. */
interface Configuration<State> {
  readonly state: State;
  readonly placed: PlacedSet;
  /** How it was reached. */
  readonly last: number | undefined;
  readonly before: Configuration<State> | undefined;
}

/** `operations`: of one key, in the order of their calls. */
export function checkKey<State, Op extends Operation>(
  operations: readonly Op[],
  model: Model<State, Op>,
  limit = patience,
): Verdict<State, Op> {
  const seen = new Set<string>();
  const stack: Configuration<State>[] = [];
  const answered = operations.filter((operation) => operation.return < Number.POSITIVE_INFINITY).length;
  let deepest: Configuration<State> | undefined;
  let searched = 0;

  const visit = (start: Configuration<State>) => {
    const configuration = settle(start, operations, model);
    const id = `${configuration.placed.id} ${model.identity(configuration.state)}`;
    if (seen.has(id)) return;
    seen.add(id);
    if (!deepest || configuration.placed.answered > deepest.placed.answered) deepest = configuration;
    stack.push(configuration);
  };

  visit({ state: model.initial, placed: PlacedSet.none, last: undefined, before: undefined });
  for (let next = stack.pop(); next; next = stack.pop()) {
    if (next.placed.answered === answered) return { ok: true, searched };
    if (++searched > limit) return { ok: undefined, searched };
    const { horizon, candidates } = candidatesOf(next.placed, operations);
    // The last one pushed is looked at first: in the order of the calls, and what nobody asked for at the end.
    for (const state of model.drift(next.state, horizon)) visit({ ...next, state });
    for (const i of candidates.reverse()) {
      const state = model.step(next.state, operations[i]!);
      if (state !== undefined) visit({ state, placed: next.placed.with(i, operations), last: i, before: next });
    }
  }
  const { placed, state } = deepest!;
  const { candidates } = candidatesOf(placed, operations);
  const stuck = candidates.map((i) => operations[i]!).filter((operation) => operation.output !== undefined);
  return { ok: false, searched, violation: { placed: orderOf(deepest!, operations), state, stuck } };
}

/**
 * Places every operation that may come next and changes nothing: were it placed later in some order, that order with it
 * placed here is as good. What is left to choose from are changes.
 */
function settle<State, Op extends Operation>(
  start: Configuration<State>,
  operations: readonly Op[],
  model: Model<State, Op>,
): Configuration<State> {
  let configuration = start;
  const same = model.identity(start.state);
  for (let placed = true; placed; ) {
    placed = false;
    for (const i of candidatesOf(configuration.placed, operations).candidates) {
      const operation = operations[i]!;
      // Without an answer it need not be placed at all.
      if (operation.return === Number.POSITIVE_INFINITY) continue;
      const state = model.step(configuration.state, operation);
      if (state === undefined || model.identity(state) !== same) continue;
      configuration = {
        state: configuration.state,
        placed: configuration.placed.with(i, operations),
        last: i,
        before: configuration,
      };
      placed = true;
    }
  }
  return configuration;
}

/** Operations of which each may be the next: those called before any other that is left returned, at `horizon`. */
function candidatesOf(placed: PlacedSet, operations: readonly Operation[]): { horizon: number; candidates: number[] } {
  const left: number[] = [];
  let horizon = Number.POSITIVE_INFINITY;
  for (let i = placed.prefix; i < operations.length; i++) {
    const operation = operations[i]!;
    if (operation.call > horizon) break;
    if (placed.has(i)) continue;
    left.push(i);
    horizon = Math.min(horizon, operation.return);
  }
  return { horizon, candidates: left.filter((i) => operations[i]!.call <= horizon) };
}

function orderOf<State, Op>(end: Configuration<State>, operations: readonly Op[]): Op[] {
  const order: Op[] = [];
  for (let at: Configuration<State> | undefined = end; at; at = at.before)
    if (at.last !== undefined) order.unshift(operations[at.last]!);
  return order;
}

/** Indexes of operations: all below `prefix`, and some beyond it. Never changed. */
class PlacedSet {
  static readonly none = new PlacedSet(0, [], 0);
  readonly prefix: number;
  /** How many of them were answered. */
  readonly answered: number;
  readonly id: string;
  readonly #beyond: readonly number[];

  private constructor(prefix: number, beyond: readonly number[], answered: number) {
    this.prefix = prefix;
    this.#beyond = beyond;
    this.answered = answered;
    this.id = `${prefix}:${beyond.join()}`;
  }

  has(index: number): boolean {
    return index < this.prefix || this.#beyond.includes(index);
  }

  with(index: number, operations: readonly Operation[]): PlacedSet {
    const beyond = [...this.#beyond, index].sort((a, b) => a - b);
    let { prefix } = this;
    while (beyond[0] === prefix) {
      beyond.shift();
      prefix++;
    }
    const isAnswered = operations[index]!.return < Number.POSITIVE_INFINITY;
    return new PlacedSet(prefix, beyond, this.answered + (isAnswered ? 1 : 0));
  }
}
