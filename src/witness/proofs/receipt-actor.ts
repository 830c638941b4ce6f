/**
 * Whether the entries of a receipt are those of its actor, and none between the first and the last is left out: transitions
 * are counted, and those that are not there lie in trimmed gaps of the chain that are as long.
 */
import { parseChain } from '../chain-name.ts';
import { storedValues } from '../columns.ts';
import { type Entry, gapEvent } from '../entry.ts';
import { readGap } from '../verify/payload-check.ts';

export type ActorNote = (code: 'FIELD_TYPE' | 'SEQ_MISSING', message: string, entry?: Entry) => void;

/**
 * An id may be used again after what had it was archived; then transitions are counted from 1 again.
 * @param actor `<kind>:<id>`, or null when the receipt is of one entry
 */
export function checkActor(actor: string | null, entries: readonly Entry[], note: ActorNote): void {
  if (actor === null) {
    if (entries.length > 1) note('FIELD_TYPE', `a receipt of no actor has ${entries.length} entries, not one`);
    return;
  }
  let last: number | null = null;
  let trimmed = 0;
  let endsWithOwn = false;
  for (const entry of entries) {
    endsWithOwn = entry.kind !== null || entry.event !== gapEvent;
    if (!endsWithOwn) {
      trimmed += trimmedIn(entry);
      continue;
    }
    const owner = `${entry.kind}:${entry.actor_id}`;
    if (entry.kind === null || owner !== actor)
      note('FIELD_TYPE', `entry ${entry.seq} is of ${owner}, not of ${actor}`, entry);
    else if (!mayFollow(last, entry.n, trimmed))
      note('SEQ_MISSING', `transition ${entry.n} of ${actor} does not follow transition ${last}`, entry);
    last = entry.n;
    trimmed = 0;
  }
  if (!endsWithOwn) note('FIELD_TYPE', `the receipt does not end with an entry of ${actor}`);
}

/** `missing` messages of the chain between the two are on record as trimmed. */
function mayFollow(last: number | null, n: number | null, missing: number): boolean {
  if (n === null || last === null || n === 1) return true;
  return n > last && n - last - 1 <= missing;
}

/** How many messages a gap row stands for that were trimmed before the witness saw them; what was lost excuses nothing. */
function trimmedIn(entry: Entry): number {
  if (parseChain(entry.chain)?.stream !== 'actors') return 0;
  const gap = readGap([...storedValues(entry), entry.content_hash], entry.seq);
  return gap?.reason === 'trimmed' ? gap.last_seq - entry.seq + 1 : 0;
}
