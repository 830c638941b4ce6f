/**
 * Ingest beside the bare insert: batch by batch in turn, into two files of the same schema, pragmas and indexes. Ingest
 * takes messages as the streams hold them; the insert is given the finished rows, hashes included.
 */
import { join } from 'node:path';
import { columnNames, columns, type Stored, storedValues } from '../src/witness/columns.ts';
import { WitnessDatabase } from '../src/witness/database.ts';
import { entryOf } from '../src/witness/entry.ts';
import type { WitnessMessage } from '../src/witness/message.ts';
import { rounded } from './measure.ts';
import { chain, messagesFrom } from './witness-messages.ts';

export interface IngestFigures {
  readonly entries: number;
  readonly batch: number;
  readonly ingest_per_s: number;
  readonly bare_insert_per_s: number;
  readonly ratio: number;
  /** Of the last tenth, when the indexes are largest. */
  readonly last_tenth: { readonly ingest_per_s: number; readonly bare_insert_per_s: number; readonly ratio: number };
}

/** What the tail stores at once under load. */
const batch = 1_000;

/** Leaves the filled witness database at `path`. */
export function measureIngest(path: string, folder: string, entries: number): IngestFigures {
  const witness = WitnessDatabase.open(path);
  const bare = WitnessDatabase.open(join(folder, 'bare.db'));
  const insert = bare.sqlite.prepare(
    `INSERT INTO entries (${columnNames}) VALUES (${columns.map(() => '?').join(', ')})`,
  );
  const insertAll = bare.sqlite.transaction((rows: readonly Stored[][]) => {
    for (const row of rows) insert.run(row);
  }).immediate;
  const whole = { ingest: 0, bare: 0 };
  const tenth = { ingest: 0, bare: 0 };
  let inTenth = 0;
  try {
    for (let first = 1; first <= entries; first += batch) {
      const messages = messagesFrom(first, Math.min(batch, entries - first + 1));
      const rows = messages.map(rowOf);
      const ingest = () => clock(() => witness.appendBatch(chain, messages, () => 'lost'));
      const inserted = () => clock(() => insertAll(rows));
      const order = first % (2 * batch) === 1 ? [ingest, inserted] : [inserted, ingest];
      const times = new Map(order.map((each) => [each, each()]));
      const [one, two] = [times.get(ingest) ?? 0, times.get(inserted) ?? 0];
      whole.ingest += one;
      whole.bare += two;
      if (first > entries * 0.9) {
        tenth.ingest += one;
        tenth.bare += two;
        inTenth += messages.length;
      }
    }
  } finally {
    bare.close();
    witness.close();
  }
  return { entries, batch, ...figures(entries, whole), last_tenth: figures(inTenth, tenth) };
}

/** With hashes of the right length, of which no two are the same. */
function rowOf(message: WitnessMessage): Stored[] {
  const hash = message.seq.toString(16).padStart(64, '0');
  return [...storedValues({ ...entryOf(chain, message), prev_hash: hash }), hash];
}

function clock(run: () => unknown): number {
  const start = performance.now();
  run();
  return performance.now() - start;
}

function figures(entries: number, { ingest, bare }: { ingest: number; bare: number }) {
  return {
    ingest_per_s: Math.round((entries / ingest) * 1_000),
    bare_insert_per_s: Math.round((entries / bare) * 1_000),
    ratio: rounded(bare / ingest),
  };
}
