/** What the witness of a data directory knows of earlier epochs, by the label of the stream. */
import { existsSync } from 'node:fs';
import type { Namespace } from '../../src/namespace.ts';
import type { KnownPast } from '../../src/store/epoch.ts';
import { formatChain } from '../../src/witness/chain-name.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { openReadOnly } from '../../src/witness/read-only.ts';

export function knownPast(path: string, namespace: Namespace): Map<string, KnownPast> {
  const past = new Map<string, KnownPast>();
  if (!existsSync(path)) return past;
  const database = WitnessDatabase.open(path);
  try {
    for (const { label } of namespace.auditedStreams) {
      const latest = database.latestEpoch(label);
      if (latest) past.set(label, { epoch: latest.epoch, head: latest.head_hash });
    }
  } finally {
    database.close();
  }
  return past;
}

/** Whether the witness has stored the beginning of an epoch; asked while the witness is writing. */
export function hasStored(path: string, namespace: Namespace, epoch: number): boolean {
  if (!existsSync(path)) return false;
  const { sqlite, close } = openReadOnly(path);
  try {
    const first = sqlite.prepare('SELECT 1 FROM entries WHERE chain = ? LIMIT 1');
    return first.get(formatChain(namespace.actorsBucket, epoch)) !== undefined;
  } finally {
    close();
  }
}
