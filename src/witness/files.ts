/** The files of the witness in a data directory. */
import { join } from 'node:path';

/** The database. */
export function witnessPath(dataDir: string): string {
  return join(dataDir, 'witness.db');
}

/** The checkpoints that its key signed, one a line. */
export function checkpointsFile(dataDir: string): string {
  return join(dataDir, 'checkpoints.jsonl');
}

/** The private key. */
export function signingKeyFile(dataDir: string): string {
  return join(dataDir, 'keys', 'witness.key');
}

/** The public keys: the present one first, then those that signed before. */
export function publicKeysFile(dataDir: string): string {
  return join(dataDir, 'witness.pub');
}
