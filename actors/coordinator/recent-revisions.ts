/**
 * The revisions at which things were let go of lately, so that an older record that arrives late does not bring them back.
 * Bounded: the longest ago is forgotten first.
 */
export class RecentRevisions {
  readonly #revisions = new Map<string, number>();
  readonly #most: number;

  constructor(most = 4_096) {
    this.#most = most;
  }

  /** Whether this thing was let go of at this revision or a later one. */
  covers(id: string, revision: number): boolean {
    return (this.#revisions.get(id) ?? 0) >= revision;
  }

  note(id: string, revision: number): void {
    this.#revisions.delete(id);
    this.#revisions.set(id, revision);
    if (this.#revisions.size <= this.#most) return;
    const [oldest] = this.#revisions.keys();
    this.#revisions.delete(oldest!);
  }

  forget(id: string): void {
    this.#revisions.delete(id);
  }
}
