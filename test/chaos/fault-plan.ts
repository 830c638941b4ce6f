/** What is done to whom and when, decided by a seed alone: the same seed gives the same plan. */

export type Victim = 'node' | 'coordinator' | 'witness' | 'worker';

export interface PlannedFault {
  /** Since the beginning, milliseconds. */
  readonly after_ms: number;
  readonly victim: Victim;
  /** Which one of those that run: 0 to below 1. */
  readonly pick: number;
  /** Frozen for so long, milliseconds; null: killed. */
  readonly frozen_ms: number | null;
}

/** As often as each stands here it is chosen. */
const lots: readonly Victim[] = Object.entries({ node: 3, coordinator: 3, witness: 1, worker: 6 }).flatMap(
  ([victim, times]) => Array<Victim>(times).fill(victim as Victim),
);
const pause = { least: 200, most: 1_200 };
const frozen = { least: 1_000, most: 8_000 };

export function planFaults(random: () => number, seconds: number): PlannedFault[] {
  const between = ({ least, most }: { least: number; most: number }) => Math.round(least + random() * (most - least));
  const plan: PlannedFault[] = [];
  for (let at = between(pause); at < seconds * 1_000; at += between(pause)) {
    const victim = lots[Math.floor(random() * lots.length)]!;
    const pick = random();
    plan.push({ after_ms: at, victim, pick, frozen_ms: random() < 0.5 ? between(frozen) : null });
  }
  return plan;
}
