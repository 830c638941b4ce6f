/**
 * The order of those that qualify: score = match x reputation / cost_per_hour, a free swarm before every priced one, ties
 * by id. Scores are quotients of whole numbers, so that equal ones are equal numbers and the order is always the same.
 */
import { toMicros } from '../money.ts';

/** What the order depends on. */
interface Scored {
  /** 0 to 1 with at most six decimals. */
  readonly reputation: number;
  /** US dollars. */
  readonly cost_per_hour: number;
}

/** The place of a swarm among those that qualify for one request. */
export interface Standing {
  readonly swarm_id: string;
  readonly free: boolean;
  /** Compares swarms that are all free, or all priced, for one request only. */
  readonly merit: number;
}

/** Whether a swarm with this standing at best cannot rank before another one, whatever their ids are. */
export function isBehind(free: boolean, merit: number, other: Standing): boolean {
  return free === other.free ? merit < other.merit : other.free;
}

/** match x reputation / cost_per_hour, where `matched` of `required` are there; null for a free swarm. */
export function combinedScore(swarm: Scored, matched: number, required: number): number | null {
  if (swarm.cost_per_hour === 0) return null;
  return meritOf(swarm, matched, required);
}

/** As `Standing.merit`: among priced swarms the combined score, among free ones match x reputation. */
export function meritOf({ reputation, cost_per_hour }: Scored, matched: number, required: number): number {
  const earned = (required === 0 ? 1 : matched) * toMicros(reputation);
  // The micros of reputation and of dollars cancel each other out.
  return earned / ((required === 0 ? 1 : required) * (cost_per_hour === 0 ? 1e6 : toMicros(cost_per_hour)));
}

/** Negative when `a` ranks before `b`; 0 for the same swarm only. */
export function compareStandings(a: Standing, b: Standing): number {
  if (a.free !== b.free) return a.free ? -1 : 1;
  if (a.merit !== b.merit) return b.merit - a.merit;
  return a.swarm_id < b.swarm_id ? -1 : a.swarm_id > b.swarm_id ? 1 : 0;
}
