/**
 * What a witness database says of the actors of a fabric: the last record of each that lives on, and the last value of
 * each key, over all epochs. Streams from the file; what has to be remembered is in temporary tables of SQLite.
 */
import type Sqlite from 'better-sqlite3';
import { finalStates } from '../../machines/task/context.ts';
import { FabricError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import { formatChain, parseChain } from '../witness/chain-name.ts';
import { columnNames, hashedColumns, type Stored } from '../witness/columns.ts';
import { chainsOf } from '../witness/contents.ts';
import { epochKind } from '../witness/epoch.ts';
import { RowHasher } from '../witness/hash.ts';
import type { TrustedKeys } from '../witness/proofs/trusted-keys.ts';
import { keptEntries, keptEntry } from '../witness/prune/kept.ts';
import { requireKept } from '../witness/prune/kept-set.ts';
import { openReadOnly } from '../witness/read-only.ts';
import { openedEvent } from './epoch.ts';

/** An entry that something is restored from. */
export interface LastEntry {
  readonly chain: string;
  readonly seq: number;
  readonly content_hash: string;
  /** JSON. */
  readonly payload: string;
}

export interface RestoreSourceOptions {
  readonly path: string;
  readonly namespace: Namespace;
  /** The epoch that is being restored: what belongs to it already is not its past. Default: one after all. */
  readonly epoch?: number;
  /** Actors that ended before this time stay in the past, milliseconds since 1970. */
  readonly endedBefore: number;
  /** Whose signatures count for what was kept of pruned entries; without it, only whether it is what they say. */
  readonly trusted?: TrustedKeys | undefined;
}

export class RestoreSource {
  readonly #sqlite: Sqlite.Database;
  readonly #close: () => void;
  readonly #options: RestoreSourceOptions;
  readonly #hasher = new RowHasher();
  /** The epochs whose actors come back. */
  #restored: ReadonlySet<number> = new Set();

  /** @throws FabricError UNAVAILABLE when the file cannot be read */
  constructor(options: RestoreSourceOptions) {
    const { sqlite, close } = openReadOnly(options.path);
    this.#sqlite = sqlite;
    this.#close = close;
    this.#options = options;
    try {
      sqlite.pragma('temp_store = FILE');
      // One moment of the file, whatever is pruned meanwhile.
      sqlite.exec('BEGIN');
      requireKept(sqlite, options.trusted);
      this.#collect();
    } catch (error) {
      close();
      throw unreadable(options.path, error);
    }
  }

  close(): void {
    this.#close();
  }

  /** The last entry of each actor that comes back, in the order in which they were recorded. */
  *actors(): Generator<LastEntry> {
    yield* this.#entries('actors', 'AND (last.ended = 0 OR last.kept = 1)');
    yield* this.#kept('actors');
  }

  /** The last entry of each key of the bus that has a value. */
  *keys(): Generator<LastEntry> {
    yield* this.#entries('bus', 'AND last.ended = 0');
    yield* this.#kept('bus');
  }

  #collect(): void {
    const { namespace } = this.#options;
    this.#sqlite.exec(`
      CREATE TEMP TABLE last (stream TEXT, kind TEXT, actor_id TEXT, epoch INTEGER, seq INTEGER, ended INTEGER, kept INTEGER,
        PRIMARY KEY (stream, kind, actor_id)) WITHOUT ROWID;
      CREATE TEMP TABLE needed (task_id TEXT PRIMARY KEY) WITHOUT ROWID;`);
    const epochs = this.#epochs();
    this.#restored = new Set(epochs);
    for (const epoch of epochs) {
      this.#collectLast('actors', formatChain(namespace.actorsBucket, epoch), epoch, `kind <> 'epoch'`);
      this.#collectLast('bus', formatChain(namespace.busBucket, epoch), epoch, `kind = 'key'`);
    }
    this.#markEnded();
    this.#markKept();
    this.#sqlite.exec('CREATE INDEX temp.in_order ON last (stream, epoch, seq)');
  }

  /** The epochs whose actors come back, the newest first: down to one that was to begin empty. */
  #epochs(): number[] {
    const { namespace } = this.#options;
    const labels = new Set([namespace.actorsBucket, namespace.busBucket]);
    const epochs = new Set<number>();
    const before = this.#options.epoch ?? Number.POSITIVE_INFINITY;
    for (const chain of chainsOf(this.#sqlite)) {
      const name = parseChain(chain);
      if (name && labels.has(name.label) && name.epoch < before) epochs.add(name.epoch);
    }
    const newestFirst = [...epochs].sort((a, b) => b - a);
    const empty = newestFirst.findIndex((epoch) => this.#beganEmpty(epoch));
    return empty < 0 ? newestFirst : newestFirst.slice(0, empty + 1);
  }

  #beganEmpty(epoch: number): boolean {
    const row = this.#sqlite
      .prepare<unknown[], { origin: unknown }>(
        `SELECT json_extract(payload, '$.event.origin') AS origin FROM entries
         WHERE kind = 'epoch' AND actor_id = ? AND chain = ? AND n = 2 AND event = ?`,
      )
      .get(String(epoch), formatChain(this.#options.namespace.actorsBucket, epoch), openedEvent);
    if (row) return row.origin === 'empty';
    const kept = keptEntry(this.#sqlite, { kind: epochKind, id: String(epoch) });
    const event = kept && (JSON.parse(kept.payload) as { event: { type?: unknown; origin?: unknown } }).event;
    return event?.type === openedEvent && event.origin === 'empty';
  }

  #collectLast(stream: string, chain: string, epoch: number, which: string): void {
    this.#sqlite
      .prepare(
        `INSERT OR IGNORE INTO last
         SELECT ?, kind, actor_id, ?, max(seq), 0, 0 FROM entries NOT INDEXED
         WHERE chain = ? AND actor_id IS NOT NULL AND ${which} GROUP BY kind, actor_id`,
      )
      .run(stream, epoch, chain);
  }

  #markEnded(): void {
    const { namespace, endedBefore } = this.#options;
    const entry = (label: string) => `FROM entries WHERE chain = '${label}/' || last.epoch AND entries.seq = last.seq`;
    // Canonical JSON has no white space, and an actor's status is in its snapshot, which is looked at in full.
    this.#sqlite
      .prepare(
        `UPDATE last SET ended = coalesce((SELECT timestamp < ? AND json_extract(payload, '$.snapshot.status') = 'done'
         ${entry(namespace.actorsBucket)}), 0) WHERE stream = 'actors'`,
      )
      .run(endedBefore);
    this.#sqlite.exec(
      `UPDATE last SET ended = coalesce((SELECT event = 'DELETE' ${entry(namespace.busBucket)}), 1) WHERE stream = 'bus'`,
    );
  }

  /** Tasks that have ended stay as long as one that depends on them is open. */
  #markKept(): void {
    const { namespace } = this.#options;
    const states = finalStates.map((state) => `'${state}'`).join(', ');
    this.#sqlite.exec(`
      INSERT OR IGNORE INTO needed
      SELECT dependency.value FROM last
      JOIN entries ON entries.chain = '${namespace.actorsBucket}/' || last.epoch AND entries.seq = last.seq,
        json_each(entries.payload, '$.snapshot.context.depends_on') AS dependency
      WHERE last.stream = 'actors' AND last.kind = 'task' AND last.ended = 0
        AND json_extract(entries.payload, '$.snapshot.value') NOT IN (${states});
      UPDATE last SET kept = 1
      WHERE stream = 'actors' AND kind = 'task' AND ended = 1 AND actor_id IN (SELECT task_id FROM needed);`);
  }

  *#entries(stream: 'actors' | 'bus', which: string): Generator<LastEntry> {
    const { namespace, path } = this.#options;
    const label = stream === 'actors' ? namespace.actorsBucket : namespace.busBucket;
    const rows = this.#sqlite
      .prepare<[string], Stored[]>(
        `SELECT ${columnNames
          .split(', ')
          .map((name) => `entries.${name}`)
          .join(', ')} FROM last
         CROSS JOIN entries ON entries.chain = '${label}/' || last.epoch AND entries.seq = last.seq
         WHERE last.stream = ? ${which} ORDER BY last.epoch, last.seq`,
      )
      .raw(true)
      .safeIntegers(true);
    try {
      for (const row of rows.iterate(stream)) yield this.#checked(row);
    } catch (error) {
      throw unreadable(path, error);
    }
  }

  /** What was altered after it was witnessed does not come back as if it had happened. */
  #checked(row: Stored[]): LastEntry {
    const [chain, seq] = row as [string, bigint];
    const content_hash = row[hashedColumns] as string;
    if (this.#hasher.hash(row, hashedColumns) !== content_hash) {
      throw new FabricError(
        'UNAVAILABLE',
        `the entry ${chain}/${seq} of ${this.#options.path} was altered, its content hash does not fit; see \`infrafabric witness verify\`, restore from a copy, or begin empty with \`--restore never\``,
      );
    }
    return { chain, seq: Number(seq), content_hash, payload: row[payloadColumn] as string };
  }

  /** The last entries of actors, or of keys, whose rows were pruned: those that have no later ones. */
  *#kept(stream: 'actors' | 'bus'): Generator<LastEntry> {
    const { namespace } = this.#options;
    const label = stream === 'actors' ? namespace.actorsBucket : namespace.busBucket;
    const hasRow = this.#sqlite.prepare('SELECT 1 FROM last WHERE stream = ? AND kind = ? AND actor_id = ?').pluck();
    try {
      for (const { chain, seq, content_hash, payload, kind, actor_id } of keptEntries(this.#sqlite)) {
        const name = parseChain(chain);
        if (name?.label !== label || kind === epochKind || !this.#restored.has(name.epoch)) continue;
        if (hasRow.get(stream, kind, actor_id) === undefined) yield { chain, seq, content_hash, payload };
      }
    } catch (error) {
      throw unreadable(this.#options.path, error);
    }
  }
}

const payloadColumn = columnNames.split(', ').indexOf('payload');

function unreadable(path: string, error: unknown): unknown {
  // What is wrong with what was kept of pruned entries is found where it is read.
  if (error instanceof FabricError && error.code !== 'CONFLICT') return error;
  return new FabricError(
    'UNAVAILABLE',
    `the witness database ${path} cannot be read for the restore (${String(error)}); see \`infrafabric witness verify\`, restore from a copy, or begin empty with \`--restore never\``,
    undefined,
    { cause: error },
  );
}
