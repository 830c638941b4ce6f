/**
 * Histories: what clients asked for, what they were answered, and when. All times of a history are of one clock that all
 * of its processes share, in milliseconds.
 */

export interface Operation<Input = unknown, Output = unknown> {
  /** Who asked. */
  readonly process: string;
  readonly op: string;
  /** Operations on different keys do not depend on each other. */
  readonly key: string;
  readonly input: Input;
  /** Undefined where no answer came: the operation may have taken effect, now or later, or never. */
  readonly output: Output | undefined;
  /** Not later than the question was asked. */
  readonly call: number;
  /** Not earlier than the answer was there; Infinity where none came. */
  readonly return: number;
}

/** What one object may do, one operation after the other. */
export interface Model<State, Op extends Operation> {
  readonly initial: State;
  /** The state after the operation; undefined when it cannot have been answered like this in this state. */
  step(state: State, operation: Op): State | undefined;
  /** The states that this one may turn into by itself, without anyone asking, at a time that is not after `until`. */
  drift(state: State, until: number): readonly State[];
  /** Equal for states that behave alike. */
  identity(state: State): string;
}

/** The history of each key, its operations in the order of their calls. */
export function byKey<Op extends Operation>(history: readonly Op[]): Map<string, Op[]> {
  const histories = new Map<string, Op[]>();
  for (const operation of history) {
    const same = histories.get(operation.key);
    if (same) same.push(operation);
    else histories.set(operation.key, [operation]);
  }
  for (const operations of histories.values()) operations.sort((a, b) => a.call - b.call);
  return histories;
}
