/**
 * Opens the witness database, also where there is no room for it at first: then the fabric is unaudited until there is.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Backoff, backOff } from '../../src/backoff.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import type { AuditState } from './audit-state.ts';
import { storageTrouble } from './storage-trouble.ts';
import { ensureWitnessId } from './witness-id.ts';

const betweenTries: Backoff = { first: 50, max: 1_000 };

/** How long one start tries, milliseconds; longer than a supervisor would take to give up starts that fail at once. */
const patienceMs = 30_000;

export interface OpenedDatabase {
  readonly database: WitnessDatabase;
  /** The id of the witness. */
  readonly witness: string;
}

/** `isOver` says that nobody waits any more. @throws FabricError UNAVAILABLE, SqliteError when it cannot be opened in time */
export async function openDatabase(path: string, audit: AuditState, isOver: () => boolean): Promise<OpenedDatabase> {
  const until = Date.now() + patienceMs;
  for (let attempt = 0; ; attempt++) {
    try {
      const opened = tryOpen(path);
      audit.stored('database');
      return opened;
    } catch (error) {
      const trouble = storageTrouble(error);
      if (trouble === undefined || isOver() || Date.now() >= until) throw error;
      audit.failing('database', trouble);
    }
    await backOff(betweenTries, attempt);
  }
}

function tryOpen(path: string): OpenedDatabase {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const database = WitnessDatabase.open(path);
  try {
    return { database, witness: ensureWitnessId(database.sqlite, path) };
  } catch (error) {
    database.close();
    throw error;
  }
}
