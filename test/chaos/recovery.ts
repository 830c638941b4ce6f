/** How long after each fault the fabric committed again what someone asked for afterwards. */
import type { Fault } from './faults.ts';
import { isDone, type Request } from './op-log.ts';

export interface Recovery {
  readonly kind: string;
  readonly count: number;
  /** From the beginning of the fault to the answer of the first commit that was asked for after it, milliseconds. */
  readonly p50: number;
  readonly max: number;
}

export interface Recoveries {
  readonly byKind: readonly Recovery[];
  /** The longest time between two commits, milliseconds. */
  readonly longestPause: number;
  /** Faults after whose end no commit came within the time that is allowed. */
  readonly late: readonly string[];
}

/** `allowedMs`: work goes on so long after the end of a fault at the latest. */
export function recoveries(faults: readonly Fault[], requests: readonly Request[], allowedMs: number): Recoveries {
  const commits = requests.filter(isDone).sort((a, b) => a.call - b.call);
  const soonest = [...commits.map((commit) => commit.return), Number.POSITIVE_INFINITY];
  for (let i = soonest.length - 2; i >= 0; i--) soonest[i] = Math.min(soonest[i]!, soonest[i + 1]!);
  const nextAfter = (time: number) => soonest[firstFrom(commits, time)]!;

  const times = new Map<string, number[]>();
  const late: string[] = [];
  for (const { kind, name, begun, ended } of faults) {
    times.set(kind, [...(times.get(kind) ?? []), nextAfter(begun) - begun]);
    const next = nextAfter(ended);
    // Where a node was hit meanwhile, the time counts from there on.
    const again = faults.some((other) => other.kind.startsWith('node') && other.begun > ended && other.begun < next);
    if (next - ended > allowedMs && !again)
      late.push(`nothing was committed for ${Math.round(next - ended)} ms after the end of ${kind} (${name})`);
  }
  const returns = commits.map((commit) => commit.return).sort((a, b) => a - b);
  const longestPause = returns.reduce((most, time, i) => Math.max(most, time - (returns[i - 1] ?? time)), 0);
  const byKind = [...times].sort().map(([kind, all]) => {
    all.sort((a, b) => a - b);
    return { kind, count: all.length, p50: all[Math.floor((all.length - 1) / 2)]!, max: all.at(-1)! };
  });
  return { byKind, longestPause, late };
}

/** The index of the first commit that was asked for at this time or later. */
function firstFrom(commits: readonly Request[], time: number): number {
  let low = 0;
  let high = commits.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (commits[middle]!.call < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
