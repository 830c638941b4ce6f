/**
 * Which of the swarms that are able have which capability, so that a search looks only at those that have something of
 * what is asked. Swarms are numbered here; a number is of one swarm for ever.
 */

/** Numbers in any order, each once; adding and removing one takes the same time however many there are. */
class Numbers {
  readonly list: number[] = [];
  readonly #places = new Map<number, number>();

  add(number: number): void {
    if (this.#places.has(number)) return;
    this.#places.set(number, this.list.length);
    this.list.push(number);
  }

  remove(number: number): void {
    const place = this.#places.get(number);
    if (place === undefined) return;
    const last = this.list.pop()!;
    this.#places.delete(number);
    if (last === number) return;
    this.list[place] = last;
    this.#places.set(last, place);
  }
}

export class AbleSwarms {
  readonly #all = new Numbers();
  readonly #having = new Map<string, Numbers>();
  /** By number, how much of what is searched for it has; all zero between searches. */
  #counts = new Uint16Array(64);

  /** A swarm is able from now on, with these capabilities, of which none is twice there. */
  add(number: number, capabilities: readonly string[]): void {
    this.#all.add(number);
    for (const name of capabilities) {
      const having = this.#having.get(name) ?? new Numbers();
      having.add(number);
      this.#having.set(name, having);
    }
    if (number >= this.#counts.length) this.#counts = new Uint16Array(2 * number);
  }

  /** A swarm is not able any more; `capabilities` as it was added with. */
  remove(number: number, capabilities: readonly string[]): void {
    this.#all.remove(number);
    for (const name of capabilities) {
      const having = this.#having.get(name);
      having?.remove(number);
      if (having?.list.length === 0) this.#having.delete(name);
    }
  }

  /**
   * Visits each able swarm that has at least `least` of `names`, once, with how many it has; `names` holds none twice.
   * The visitor must not change what is searched.
   */
  visit(names: readonly string[], least: number, visitor: (number: number, matched: number) => void): void {
    const counts = this.#counts;
    const lists = names.map((name) => this.#having.get(name)?.list ?? []).sort((a, b) => a.length - b.length);
    // Whoever has enough is in one of the shortest lists: in all the others together there is not enough.
    const pools = least <= 0 ? 0 : Math.max(0, lists.length - least + 1);
    const found: number[] = least <= 0 ? this.#all.list : [];
    for (const [i, list] of lists.entries()) {
      for (let at = 0; at < list.length; at++) {
        const number = list[at]!;
        const count = counts[number]!;
        if (count === 0 && least > 0) {
          if (i >= pools) continue;
          found.push(number);
        }
        counts[number] = count + 1;
      }
    }
    for (const number of found) {
      const matched = counts[number]!;
      counts[number] = 0;
      if (matched >= least) visitor(number, matched);
    }
  }
}
