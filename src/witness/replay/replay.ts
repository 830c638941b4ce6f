/**
 * Replay: what the witness says of actors, decided again. It folds the events of one actor, or of all, through their
 * machines and compares every snapshot. Only rows are read, nothing is written; memory holds one actor at a time.
 */
import type Sqlite from 'better-sqlite3';
import { type ActorRef, formatRef } from '../../../machines/address.ts';
import type { Json, Snapshot } from '../../../machines/record.ts';
import { stateName } from '../../../machines/record.ts';
import { kinds, machineOf } from '../../../machines/registry.ts';
import { FabricError } from '../../errors.ts';
import { ActorFold, type ReplayedTransition } from './fold.ts';
import { comesBefore, type ReplayRow } from './row.ts';
import { ReplaySource } from './source.ts';

/** Up to which transition, that included; one of the two. `at` is milliseconds since 1970. */
export interface ReplayLimit {
  readonly at?: number | undefined;
  readonly n?: number | undefined;
}

export interface ActorReplay {
  readonly actor: string;
  /** Whether every transition is as recorded. */
  readonly ok: boolean;
  /** The first transition that there is; more than 1 when earlier ones were removed. */
  readonly from_n: number;
  readonly transitions: readonly ReplayedTransition[];
  /** The state, in one word, and the context after the last of `transitions`. */
  readonly state: string;
  readonly context: Json;
}

/**
 * Replays one actor, through all epochs. An id that was used again after what had it was archived has several lives; `n`
 * is then a transition of the last that has one of this number.
 * @throws FabricError INVALID_REQUEST for a kind without a machine; TASK_NOT_FOUND, SWARM_NOT_FOUND or TARGET_NOT_FOUND
 *   for an actor, or an `n`, that the witness has no entry of
 */
export function replayActor(sqlite: Sqlite.Database, ref: ActorRef, { at, n }: ReplayLimit = {}): ActorReplay {
  const machine = machineOf(ref.kind);
  if (!machine) {
    const message = `${JSON.stringify(ref.kind)} has no machine to replay; there are ${kinds.join(', ')}`;
    throw new FabricError('INVALID_REQUEST', message);
  }
  const source = new ReplaySource(sqlite);
  const fold = new ActorFold(ref, machine, source);
  let first: ReplayRow | undefined;
  let transitions: ReplayedTransition[] = [];
  let found: { readonly length: number; readonly snapshot: Snapshot | undefined } | undefined;
  let snapshot: Snapshot | undefined;
  for (const row of rowsOf(source, ref)) {
    first ??= row;
    if (at !== undefined && (row.record?.at ?? row.timestamp) > at) break;
    transitions.push(fold.add(row));
    snapshot = fold.snapshot;
    if (row.n === n) found = { length: transitions.length, snapshot };
  }
  if (!first) throw notFound(ref, 'the witness has no entry of it; check the kind and the id');
  if (n !== undefined) {
    if (!found)
      throw notFound(ref, `it has no transition ${n}; it has ${transitions[0]?.n} to ${transitions.at(-1)?.n}`);
    transitions = transitions.slice(0, found.length);
    snapshot = found.snapshot;
  }
  const { value, context } = snapshot ?? machine.absent;
  return {
    actor: formatRef(ref),
    ok: transitions.every((transition) => transition.ok),
    from_n: first.n,
    transitions,
    state: stateName(value),
    context: context as Json,
  };
}

export interface Divergence {
  readonly actor: string;
  readonly n: number;
  readonly message: string;
}

export interface FullReplay {
  readonly ok: boolean;
  readonly actors: number;
  readonly transitions: number;
  /** The first `maxDivergences`. */
  readonly divergences: readonly Divergence[];
  /** How many more there are. */
  readonly more_divergences: number;
  /** Entries of kinds that have no machine, such as keys of the bus: `verify` looks at those. */
  readonly not_replayed: Readonly<Record<string, number>>;
}

/** How many divergences of all actors are listed. */
export const maxDivergences = 1_000;

/** Replays every actor, one id after the other. */
export function replayAll(sqlite: Sqlite.Database): FullReplay {
  const source = new ReplaySource(sqlite);
  const divergences: Divergence[] = [];
  let [actors, transitions, divergent] = [0, 0, 0];
  for (const id of source.ids()) {
    const folds = new Map<string, ActorFold | undefined>();
    const take = (row: ReplayRow): void => {
      const fold = foldOf(folds, source, { kind: row.kind, id });
      if (!fold) return;
      transitions += 1;
      const { n, ok, error = '' } = fold.add(row, false);
      if (ok) return;
      divergent += 1;
      if (divergences.length < maxDivergences) divergences.push({ actor: formatRef(fold.ref), n, message: error });
    };
    const kept = source.keptKinds(id).map((kind) => source.kept({ kind, id }));
    for (const row of kept) if (row) take(row);
    for (const row of source.rows(id))
      if (!kept.some((each) => each?.kind === row.kind && !comesBefore(each, row))) take(row);
    for (const fold of folds.values()) if (fold) actors += 1;
  }
  const more_divergences = divergent - divergences.length;
  return { ok: divergent === 0, actors, transitions, divergences, more_divergences, not_replayed: others(sqlite) };
}

function foldOf(folds: Map<string, ActorFold | undefined>, source: ReplaySource, ref: ActorRef): ActorFold | undefined {
  if (folds.has(ref.kind)) return folds.get(ref.kind);
  const machine = machineOf(ref.kind);
  const fold = machine && new ActorFold(ref, machine, source);
  folds.set(ref.kind, fold);
  return fold;
}

/** What was kept of the actor when its rows were pruned, then its rows. */
function* rowsOf(source: ReplaySource, ref: ActorRef): Generator<ReplayRow> {
  const kept = source.kept(ref);
  if (kept) yield kept;
  for (const row of source.rows(ref.id)) {
    if (row.kind === ref.kind && !(kept && !comesBefore(kept, row))) yield row;
  }
}

function others(sqlite: Sqlite.Database): Record<string, number> {
  const counts = sqlite
    .prepare<[], { kind: string; n: number }>(
      'SELECT kind, count(*) AS n FROM entries WHERE kind IS NOT NULL GROUP BY kind ORDER BY kind',
    )
    .all();
  return Object.fromEntries(counts.filter(({ kind }) => !machineOf(kind)).map(({ kind, n }) => [kind, n]));
}

function notFound(ref: ActorRef, what: string): FabricError {
  const codes = { task: 'TASK_NOT_FOUND', swarm: 'SWARM_NOT_FOUND' } as const;
  const code = ref.kind === 'task' || ref.kind === 'swarm' ? codes[ref.kind] : 'TARGET_NOT_FOUND';
  return new FabricError(code, `${formatRef(ref)}: ${what}`);
}
