/** A replay for people: each transition with what it changed, then the state and the context at the end. */

import { type Change, shortValue } from '../witness/replay/changes.ts';
import type { ReplayedTransition } from '../witness/replay/fold.ts';
import type { ActorReplay, FullReplay } from '../witness/replay/replay.ts';
import { factTable } from './facts.ts';
import type { Output } from './output.ts';
import { formatTime } from './table.ts';

/** Prints nothing of it with `--json`. */
export function showReplay(out: Output, replay: ActorReplay): void {
  for (const transition of replay.transitions) showTransition(out, transition);
  if (replay.transitions.length > 0) out.line('');
  const last = replay.transitions.at(-1);
  out.line(`${replay.actor}  ${replay.state}${last ? `  (n ${last.n}, since ${formatTime(last.at)})` : ''}`);
  out.line('');
  factTable(out, Object.fromEntries(Object.entries(replay.context as object).filter(([, fact]) => fact !== null)));
}

function showTransition(out: Output, transition: ReplayedTransition): void {
  const { n, at, event, state, ok, error, note, chain, seq, changes } = transition;
  out.line(`${n}  ${formatTime(at)}  ${event} -> ${state}  ${ok ? 'ok' : 'DIVERGES'}  ${chain}/${seq}`);
  for (const change of changes) out.line(`     ${changeLine(change)}`);
  if (note !== undefined) out.line(`     note: ${note}`);
  if (error !== undefined) out.line(`     error: ${error}`);
}

function changeLine({ field, from, to }: Change): string {
  return `${field}: ${shortValue(from)} -> ${shortValue(to)}`;
}

/** In one sentence; divergences by the first of them. */
export function replayVerdict({ actor, ok, transitions }: ActorReplay): string {
  if (transitions.length === 0) return `${actor}: no transition up to then`;
  if (ok) return `${actor}: replayed ${counted(transitions.length, 'transition')}, every snapshot is as recorded`;
  const diverging = transitions.filter((transition) => !transition.ok);
  return `${actor}: ${diverging.length} of ${counted(transitions.length, 'transition')} diverge, first at n ${diverging[0]?.n}: ${diverging[0]?.error}`;
}

/** Divergences as a table; then what was looked at. */
export function showFullReplay(out: Output, replay: FullReplay): void {
  const { actors, transitions, divergences, more_divergences, not_replayed } = replay;
  if (divergences.length > 0) {
    out.table([{ key: 'actor' }, { key: 'n' }, { key: 'message' }], divergences);
    if (more_divergences > 0) out.line(`and ${more_divergences} more`);
    out.line('');
  }
  out.line(`replayed ${counted(transitions, 'transition')} of ${counted(actors, 'actor')}`);
  const others = Object.entries(not_replayed).map(([kind, count]) => `${kind} (${count})`);
  if (others.length > 0) out.line(`entries without a machine, which \`witness verify\` looks at: ${others.join(', ')}`);
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
