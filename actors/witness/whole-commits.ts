/**
 * Where a batch of messages may end: an atomic commit is stored whole or not at all, because a cluster that is lost in
 * between is restored from what is stored.
 */

/** A message of a stream; `headers` may be those of NATS. */
export interface Delivered {
  readonly headers?: { get(name: string): string } | undefined;
}

const batchHeader = 'Nats-Batch-Id';
const commitHeader = 'Nats-Batch-Commit';
/** No commit is larger; what looks so has lost its end. */
const mostPerCommit = 2_000;

/**
 * How many of the first messages to store at once: as many as `most` if that is where a commit ends, else fewer, and more
 * only when the first commit alone is larger. 0: the end of the first commit has not arrived yet.
 */
export function wholeCommits(messages: readonly Delivered[], most: number): number {
  let whole = 0;
  for (let at = 0; at < messages.length; at++) {
    if (at >= most && whole > 0) return whole;
    if (endsCommit(messages[at]!, messages[at + 1])) whole = at + 1;
  }
  return whole === 0 && messages.length >= mostPerCommit ? messages.length : whole;
}

function endsCommit({ headers }: Delivered, next: Delivered | undefined): boolean {
  const batch = headers?.get(batchHeader) ?? '';
  if (batch === '' || headers?.get(commitHeader)) return true;
  return next !== undefined && (next.headers?.get(batchHeader) ?? '') !== batch;
}
