/**
 * A binary heap whose items know their position in it, so that any of them can be removed or moved in O(log n). It can be
 * read in order without being changed, as far as the reader likes: the first k of n items cost O(k log k).
 */
export interface HeapItem {
  /** Kept by the heap; -1 while the item is in none. */
  position: number;
}

export class OrderedHeap<Item extends HeapItem> {
  readonly #before: (a: Item, b: Item) => boolean;
  #items: Item[] = [];

  /** `before` is a strict order. An item may be in one heap at a time. */
  constructor(before: (a: Item, b: Item) => boolean) {
    this.#before = before;
  }

  get size(): number {
    return this.#items.length;
  }

  get first(): Item | undefined {
    return this.#items[0];
  }

  /**
   * The item at a position: 0 is the first; behind it the items come roughly, not exactly, in order. Above each stands
   * one that comes before it, at half its position.
   */
  at(position: number): Item | undefined {
    return this.#items[position];
  }

  push(item: Item): void {
    item.position = this.#items.length;
    // Many heaps hold one item, and a list that is pushed to takes room for sixteen more.
    if (item.position === 0) this.#items = [item];
    else this.#items.push(item);
    this.#up(item);
  }

  /** Takes the item out; nothing happens when it is in no heap. */
  remove(item: Item): void {
    const { position } = item;
    if (position < 0) return;
    const last = this.#items.pop()!;
    item.position = -1;
    if (last === item) return;
    this.#put(last, position);
    this.moved(last);
  }

  /** Finds the item its place after what orders it has changed. */
  moved(item: Item): void {
    this.#up(item);
    this.#down(item);
  }

  /** The items in order. The heap must not change while it is read. */
  *inOrder(): Generator<Item, void, undefined> {
    const open = new OrderedHeap<Reading<Item>>((a, b) => this.#before(a.item, b.item));
    const reach = (position: number) => {
      const item = this.#items[position];
      if (item) open.push({ item, position: -1 });
    };
    reach(0);
    for (let next = open.first; next; next = open.first) {
      const { item } = next;
      yield item;
      open.remove(next);
      reach(2 * item.position + 1);
      reach(2 * item.position + 2);
    }
  }

  #up(item: Item): void {
    while (item.position > 0) {
      const above = this.#items[(item.position - 1) >> 1]!;
      if (!this.#before(item, above)) return;
      this.#swap(item, above);
    }
  }

  #down(item: Item): void {
    for (;;) {
      const left = this.#items[2 * item.position + 1];
      const right = this.#items[2 * item.position + 2];
      const child = left && right && this.#before(right, left) ? right : left;
      if (!child || !this.#before(child, item)) return;
      this.#swap(item, child);
    }
  }

  #swap(a: Item, b: Item): void {
    const { position } = a;
    this.#put(a, b.position);
    this.#put(b, position);
  }

  #put(item: Item, position: number): void {
    this.#items[position] = item;
    item.position = position;
  }
}

interface Reading<Item> extends HeapItem {
  readonly item: Item;
}
