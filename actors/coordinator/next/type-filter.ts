/** What a caller wants of tasks: any that its swarm qualifies for, or only some types. An empty list wants none. */
export class TypeFilter {
  /** The same for equal filters. */
  readonly key: string;
  readonly #types: ReadonlySet<string> | undefined;

  constructor(types: readonly string[] | undefined) {
    this.key = types === undefined ? '' : JSON.stringify([...new Set(types)].sort());
    this.#types = types && new Set(types);
  }

  admits(taskType: string): boolean {
    return this.#types?.has(taskType) ?? true;
  }
}
