/** `infrafabric witness replay`: the events of one actor, or of all, folded again through their machines. */
import type Sqlite from 'better-sqlite3';
import { type ActorRef, parseRef } from '../../../machines/address.ts';
import { FabricError } from '../../errors.ts';
import { type ReplayLimit, replayActor, replayAll } from '../../witness/replay/replay.ts';
import { numberOf, timeOf } from '../option-values.ts';
import { type ExitCode, exitCodes } from '../output.ts';
import type { CommandContext, CommandRun } from '../program.ts';
import { replayVerdict, showFullReplay, showReplay } from '../replay-view.ts';
import { databasePath, reading } from '../witness-source.ts';

/** Exit code 1 when something diverges, or there is no such actor; 3 when the file cannot be read. */
export const replay: CommandRun = async (context, [text], options) => {
  const ref = wanted(text, options['all'] === true);
  const limit = limitOf(options);
  if (!ref && (limit.at ?? limit.n) !== undefined)
    throw new FabricError('INVALID_REQUEST', '--at and --n are of one actor; name it instead of --all');
  return await reading(await databasePath(context, options), (sqlite) =>
    ref ? replayOne(context, sqlite, ref, limit) : replayEvery(context, sqlite),
  );
};

function replayOne({ out }: CommandContext, sqlite: Sqlite.Database, ref: ActorRef, limit: ReplayLimit): ExitCode {
  const replayed = replayActor(sqlite, ref, limit);
  out.data(replayed);
  showReplay(out, replayed);
  out.line('');
  if (replayed.ok) out.line(replayVerdict(replayed));
  else out.note(replayVerdict(replayed));
  return replayed.ok ? exitCodes.done : exitCodes.no;
}

function replayEvery({ out }: CommandContext, sqlite: Sqlite.Database): ExitCode {
  const replayed = replayAll(sqlite);
  out.data(replayed);
  showFullReplay(out, replayed);
  if (replayed.ok) {
    out.line('every snapshot is as recorded');
    return exitCodes.done;
  }
  const first = replayed.divergences[0];
  const count = replayed.divergences.length + replayed.more_divergences;
  out.note(
    `${count === 1 ? '1 transition diverges' : `${count} transitions diverge`}, first ${first?.actor} at n ${first?.n}: ${first?.message}`,
  );
  return exitCodes.no;
}

/** The actor; undefined for all. @throws FabricError INVALID_REQUEST */
function wanted(text: string | undefined, isAll: boolean): ActorRef | undefined {
  if (isAll && text === undefined) return undefined;
  if (isAll) throw new FabricError('INVALID_REQUEST', `--all is every actor; leave it out, or leave ${text} out`);
  const ref = text === undefined ? undefined : parseRef(text);
  if (ref) return ref;
  const received = text === undefined ? 'no actor is named' : `${JSON.stringify(text.slice(0, 160))} is not an actor`;
  throw new FabricError('INVALID_REQUEST', `${received}: write <kind>:<id>, such as task:review-pr-123, or --all`);
}

function limitOf(options: Readonly<Record<string, unknown>>): ReplayLimit {
  const [at, n] = [timeOf(options, '--at'), numberOf(options, '--n')];
  if (at !== undefined && n !== undefined)
    throw new FabricError('INVALID_REQUEST', '--at and --n exclude each other; give one of them');
  if (n !== undefined && !(Number.isSafeInteger(n) && n >= 1))
    throw new FabricError('INVALID_REQUEST', `--n must be the number of a transition, from 1, not ${n}`);
  return { at, n };
}
