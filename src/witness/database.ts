/**
 * The witness database: one SQLite file to which rows are only ever added. A batch is on disk when `appendBatch` returns,
 * so that its messages may be acknowledged. Several processes may write to one file; the chain stays one.
 */
import { chmodSync, closeSync, existsSync, openSync } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { FabricError } from '../errors.ts';
import { type AppendResult, BatchWriter, type GapDecision, type Head } from './append.ts';
import { formatChain, parseChain } from './chain-name.ts';
import { chainsOf } from './contents.ts';
import type { WitnessMessage } from './message.ts';
import { type QueryFilter, type QueryPage, queryEntries } from './query/query.ts';
import { applicationId, createCostIndex, createSchema, pageSize, schemaVersion } from './schema.ts';

/** How long a writer waits for another one, in milliseconds. */
const busyTimeoutMs = 10_000;
/** Page cache, in KiB; the indexes' growing ends stay in it. */
const cacheKib = 64_000;
/** Pages of the write-ahead log after which it is copied back. */
const checkpointPages = 4_000;

export class WitnessDatabase {
  /** The open connection, for those who keep tables of their own beside `entries`. */
  readonly sqlite: Sqlite.Database;
  readonly path: string;
  readonly #writer: BatchWriter;

  private constructor(sqlite: Sqlite.Database, path: string) {
    this.sqlite = sqlite;
    this.path = path;
    this.#writer = new BatchWriter(sqlite);
  }

  /**
   * Opens the file for writing, and creates it (mode 0600) when it does not exist.
   * @throws FabricError UNAVAILABLE when it cannot be opened or is not a witness database of this version.
   */
  static open(path: string): WitnessDatabase {
    let sqlite: Sqlite.Database | undefined;
    try {
      // SQLite gives its side files the mode of the main one.
      if (!existsSync(path)) closeSync(openSync(path, 'a', 0o600));
      chmodSync(path, 0o600);
      sqlite = new Sqlite(path, { timeout: busyTimeoutMs });
      prepare(sqlite, path);
      return new WitnessDatabase(sqlite, path);
    } catch (error) {
      sqlite?.close();
      if (error instanceof FabricError) throw error;
      throw new FabricError(
        'UNAVAILABLE',
        `the witness database ${path} cannot be opened: ${String(error)}`,
        undefined,
        { cause: error },
      );
    }
  }

  /**
   * Adds messages to a chain in one transaction: those that it already has are skipped, missing numbers become a gap row,
   * and messages may come in any order. When it returns, the messages up to `last_seq` may be acknowledged.
   * @param reasonOf says why the messages first..last are missing. `undefined`, "not known yet", ends the batch before
   *   the gap, and `waiting_for` names it.
   * @throws FabricError CONFLICT when the messages do not belong to this chain; UNAVAILABLE when nothing was stored.
   */
  appendBatch(chain: string, messages: readonly WitnessMessage[], reasonOf: GapDecision): AppendResult {
    return this.#writer.append(chain, messages, reasonOf);
  }

  /** The head of a chain; undefined when it has no entries. */
  head(chain: string): Head | undefined {
    return this.#writer.head(chain);
  }

  /** The names of all chains. */
  chains(): string[] {
    return chainsOf(this.sqlite);
  }

  /** The number and the head of the newest epoch of a stream; undefined when the witness has none of it. */
  latestEpoch(label: string): ({ readonly epoch: number; readonly chain: string } & Head) | undefined {
    let latest = 0;
    for (const chain of this.chains()) {
      const name = parseChain(chain);
      if (name?.label === label) latest = Math.max(latest, name.epoch);
    }
    const chain = formatChain(label, latest);
    const head = latest === 0 ? undefined : this.head(chain);
    return head && { epoch: latest, chain, ...head };
  }

  query(filter: QueryFilter): QueryPage {
    return queryEntries(this.sqlite, filter);
  }

  /**
   * Closes the file and leaves it without a write-ahead log, so that it can be read where no side files can be made. While
   * another process has it open, that stays to the last one.
   */
  close(): void {
    if (!this.sqlite.open) return;
    try {
      this.sqlite.pragma('busy_timeout = 0');
      this.sqlite.pragma('journal_mode = DELETE');
    } catch (error) {
      if (!(error instanceof Sqlite.SqliteError && /^SQLITE_(BUSY|LOCKED)/.test(error.code))) throw error;
    } finally {
      this.sqlite.close();
    }
  }
}

function prepare(sqlite: Sqlite.Database, path: string): void {
  // Before anything of a file of someone else's is changed.
  if (!isOurs(sqlite)) requireEmpty(sqlite, path);
  sqlite.pragma(`page_size = ${pageSize}`);
  sqlite.pragma('journal_mode = WAL');
  sqlite.pragma('synchronous = FULL');
  sqlite.pragma(`cache_size = -${cacheKib}`);
  sqlite.pragma(`wal_autocheckpoint = ${checkpointPages}`);
  sqlite
    .transaction(() => {
      if (!isOurs(sqlite)) {
        requireEmpty(sqlite, path);
        sqlite.exec(createSchema);
        sqlite.pragma(`application_id = ${applicationId}`);
        sqlite.pragma(`user_version = ${schemaVersion}`);
      }
      sqlite.exec(createCostIndex);
    })
    .immediate();
}

function isOurs(sqlite: Sqlite.Database): boolean {
  const version = Number(sqlite.pragma('user_version', { simple: true }));
  return version === schemaVersion && Number(sqlite.pragma('application_id', { simple: true })) === applicationId;
}

function requireEmpty(sqlite: Sqlite.Database, path: string): void {
  const version = Number(sqlite.pragma('user_version', { simple: true }));
  const tables = sqlite.prepare<[], { n: number }>('SELECT count(*) AS n FROM sqlite_schema').get();
  if (version === 0 && tables?.n === 0) return;
  throw new FabricError(
    'UNAVAILABLE',
    `${path} is not a witness database of version ${schemaVersion}; use the InfraFabric version that wrote it, or another file`,
  );
}
