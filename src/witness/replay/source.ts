/**
 * The rows of actors in the order in which they happened, epoch by epoch, read one at a time; and what the witness knows
 * about rows that it does not have: trimmed, pruned, or of an epoch before its time.
 */
import type Sqlite from 'better-sqlite3';
import type { ActorRef } from '../../../machines/address.ts';
import { restoredEvent } from '../../../machines/machine.ts';
import { type ChainName, parseChain } from '../chain-name.ts';
import { columnNames, type Stored, storedValues } from '../columns.ts';
import { hasTable } from '../contents.ts';
import { gapEvent } from '../entry.ts';
import { RowHasher } from '../hash.ts';
import { keptEntry } from '../prune/kept.ts';
import { requireKept } from '../prune/kept-set.ts';
import { comesBefore, type Place, type ReplayRow, readReplayRow } from './row.ts';

/** Rows that are missing with a reason: so many, up to this number. */
interface Absence {
  readonly name: ChainName;
  readonly seq: number;
  readonly count: number;
}

/** Up to this many rows of one id are read at once, and put in order where they are not. */
const fewRows = 256;
/** Page cache, in KiB: the rows of actors that live at the same time lie beside each other. */
const cacheKib = 64_000;

export class ReplaySource {
  readonly #sqlite: Sqlite.Database;
  readonly #hasher = new RowHasher();
  readonly #positions: Sqlite.Statement<[string], Place>;
  readonly #rows: Sqlite.Statement<[string, number], unknown>;
  readonly #row: Sqlite.Statement<[string, number], unknown>;
  readonly #nextId: Sqlite.Statement<[string], { actor_id: unknown }>;
  readonly #anyOf: Sqlite.Statement<[string], unknown>;
  readonly #keptKinds: Sqlite.Statement<[string], { kind: string }> | undefined;
  readonly #nextKept: Sqlite.Statement<[string], { actor_id: unknown }> | undefined;
  readonly #absences: readonly Absence[];

  /** @throws FabricError CONFLICT when what was kept of pruned entries is not what was signed */
  constructor(sqlite: Sqlite.Database) {
    requireKept(sqlite, undefined);
    this.#sqlite = sqlite;
    sqlite.pragma(`cache_size = -${cacheKib}`);
    const actors = "chain GLOB '*_actors/*'";
    // In this order an index gives them without sorting; only after a clock of the cluster was set back is it another.
    this.#positions = sqlite.prepare(
      `SELECT chain, seq FROM entries WHERE actor_id = ? AND +${actors} ORDER BY timestamp, rowid`,
    );
    this.#rows = sqlite
      .prepare<[string, number], unknown>(
        `SELECT ${columnNames} FROM entries WHERE actor_id = ? AND +${actors} ORDER BY timestamp, rowid LIMIT ?`,
      )
      .raw()
      .safeIntegers();
    this.#row = sqlite
      .prepare<[string, number], unknown>(`SELECT ${columnNames} FROM entries WHERE chain = ? AND seq = ?`)
      .raw()
      .safeIntegers();
    this.#nextId = sqlite.prepare('SELECT actor_id FROM entries WHERE actor_id > ? ORDER BY actor_id LIMIT 1');
    this.#anyOf = sqlite.prepare('SELECT 1 FROM entries WHERE chain = ? LIMIT 1');
    if (hasTable(sqlite, 'kept')) {
      this.#keptKinds = sqlite.prepare('SELECT kind FROM kept WHERE actor_id = ?');
      this.#nextKept = sqlite.prepare('SELECT min(actor_id) AS actor_id FROM kept WHERE actor_id > ?');
    }
    this.#absences = [...trimmed(sqlite), ...pruned(sqlite)];
  }

  /** The ids of all actors, of whatever kind, each once. */
  *ids(): Generator<string> {
    for (let id = ''; ; ) {
      const next = [this.#nextId.get(id)?.actor_id, this.#nextKept?.get(id)?.actor_id]
        .filter((found) => typeof found === 'string')
        .reduce<string | undefined>(
          (least, found) => (least === undefined || before(found, least) ? found : least),
          undefined,
        );
      if (next === undefined) return;
      yield next;
      id = next;
    }
  }

  /** The kinds of which an id's last record was kept when the rows behind a checkpoint were removed. */
  keptKinds(id: string): string[] {
    return this.#keptKinds?.all(id).map(({ kind }) => kind) ?? [];
  }

  /**
   * The entry that stands for an actor's rows that were pruned; undefined when there is none.
   * @throws FabricError CONFLICT when it was altered
   */
  kept(ref: ActorRef): ReplayRow | undefined {
    const entry = this.#keptKinds && keptEntry(this.#sqlite, ref);
    const row = entry && readReplayRow(this.#hasher, [...storedValues(entry), entry.content_hash]);
    return row && { ...row, isKept: true };
  }

  /** The rows of all actors of this id in the order of their chains. */
  *rows(id: string): Generator<ReplayRow> {
    const found = this.#rows.all(id, fewRows);
    if (found.length < fewRows) {
      const first = found.flatMap((row) => this.#read(row) ?? []);
      yield* first.some((row, index) => index > 0 && isBefore(row, first[index - 1]!)) ? first.sort(inOrder) : first;
      return;
    }
    for (const row of this.#areInOrder(id) ? this.#rows.iterate(id, -1) : this.#sorted(id)) {
      const read = this.#read(row);
      if (read) yield read;
    }
  }

  #read(row: unknown): ReplayRow | undefined {
    return readReplayRow(this.#hasher, row as Stored[]);
  }

  /** Whether so many rows between two entries of an actor may have been trimmed or pruned. */
  mayBeTrimmed(count: number, before: ReplayRow, after: ReplayRow): boolean {
    return this.#missing((absence) => comesBefore(before, absence) && comesBefore(absence, after)) >= count;
  }

  /** Whether all transitions before this entry may be missing: trimmed, pruned, or of an epoch that is not here. */
  mayBeginAt({ name, seq, n, record, isKept }: ReplayRow): boolean {
    if (isKept) return true;
    const isEarlier = (absence: Absence) => absence.name.label === name.label && comesBefore(absence, { name, seq });
    if (this.#missing(isEarlier) >= n - 1) return true;
    const from = record?.event['chain'];
    return record?.event.type === restoredEvent && typeof from === 'string' && !this.#anyOf.get(from);
  }

  #missing(counts: (absence: Absence) => boolean): number {
    return this.#absences.reduce((sum, absence) => sum + (counts(absence) ? absence.count : 0), 0);
  }

  #areInOrder(id: string): boolean {
    let last: Place | undefined;
    for (const next of this.#positions.iterate(id)) {
      if (last && !isBefore(last, next)) return false;
      last = next;
    }
    return true;
  }

  *#sorted(id: string): Generator<unknown> {
    const places = this.#positions.all(id).sort(inOrder);
    for (const { chain, seq } of places) yield* this.#row.iterate(chain, seq);
  }
}

function inOrder(a: Place, b: Place): number {
  return isBefore(a, b) ? -1 : isBefore(b, a) ? 1 : 0;
}

function isBefore(a: Place, b: Place): boolean {
  if (a.chain === b.chain) return a.seq < b.seq;
  const [first, second] = [parseChain(a.chain), parseChain(b.chain)];
  if (!first || !second) return a.chain < b.chain;
  return comesBefore({ name: first, seq: a.seq }, { name: second, seq: b.seq });
}

/** In the order of SQLite, which compares the bytes of UTF-8. */
function before(a: string, b: string): boolean {
  return Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0;
}

function trimmed(sqlite: Sqlite.Database): Absence[] {
  const gaps = sqlite
    .prepare<[string], { chain: string; payload: string }>(
      'SELECT chain, payload FROM entries WHERE event = ? AND +kind IS NULL',
    )
    .all(gapEvent);
  return gaps.flatMap(({ chain, payload }) => {
    const gap = gapIn(payload);
    return gap?.reason === 'trimmed' ? absence(chain, gap.first_seq, gap.last_seq) : [];
  });
}

/** What a gap row says; undefined when someone wrote something else in it. */
function gapIn(payload: string): { first_seq: number; last_seq: number; reason: unknown } | undefined {
  try {
    const { first_seq, last_seq, reason } = JSON.parse(payload) as Record<string, unknown>;
    if (!Number.isSafeInteger(first_seq) || !Number.isSafeInteger(last_seq)) return undefined;
    return { first_seq: first_seq as number, last_seq: last_seq as number, reason };
  } catch {
    return undefined;
  }
}

function pruned(sqlite: Sqlite.Database): Absence[] {
  if (!hasTable(sqlite, 'pruned')) return [];
  const heads = sqlite.prepare<[], { chain: string; seq: number }>('SELECT chain, seq FROM pruned').all();
  return heads.flatMap(({ chain, seq }) => absence(chain, 1, seq));
}

function absence(chain: string, first: number, last: number): Absence[] {
  const name = parseChain(chain);
  return name?.stream === 'actors' ? [{ name, seq: last, count: last - first + 1 }] : [];
}
