/**
 * Which receipt is asked for, and how it is made: under a fresh checkpoint where the witness' key is at hand, else under
 * the newest one that the database holds.
 */
import type Sqlite from 'better-sqlite3';
import { formatRef, parseRef } from '../../machines/address.ts';
import { systemClock } from '../clock.ts';
import { FabricError } from '../errors.ts';
import { parseChain } from '../witness/chain-name.ts';
import { chainsOf, hasTable } from '../witness/contents.ts';
import { issueCheckpoint, latestHead, type SignedHead } from '../witness/proofs/checkpoint.ts';
import { makeReceipt, type Receipt, type ReceiptSubject } from '../witness/proofs/receipt.ts';
import { openSigningKey, type SigningKey } from '../witness/proofs/signing-key.ts';
import { type Options, textOf } from './option-values.ts';
import { isWritable, type WitnessPlace, withWritable } from './witness-place.ts';
import { reading } from './witness-source.ts';

/** @throws FabricError INVALID_REQUEST, TARGET_NOT_FOUND, CONFLICT or UNAVAILABLE */
export async function receiptFor(place: WitnessPlace, actor: string | undefined, options: Options): Promise<Receipt> {
  const seq = textOf(options, '--seq');
  const make = (sqlite: Sqlite.Database, heads: readonly SignedHead[], signer?: SigningKey) =>
    makeOrKept(sqlite, subjectOf(sqlite, actor, seq), heads, signer);
  if (!place.isOwn || !isWritable(place.path))
    return await reading(place.path, (sqlite) => make(sqlite, storedHeads(sqlite)));
  return await withWritable(place.path, async (sqlite) => {
    const key = await openSigningKey(place.data_dir);
    return make(sqlite, issueCheckpoint(sqlite, key, systemClock.now(), place.checkpoints).chains, key);
  });
}

function subjectOf(sqlite: Sqlite.Database, actor: string | undefined, seq: string | undefined): ReceiptSubject {
  if ((actor === undefined) === (seq === undefined))
    throw new FabricError('INVALID_REQUEST', 'name one thing: an actor as KIND:ID, or an entry with --seq SEQ');
  if (seq !== undefined) return entryOf(sqlite, seq);
  const ref = parseRef(actor ?? '');
  if (ref) return ref;
  throw new FabricError(
    'INVALID_REQUEST',
    `${JSON.stringify(actor)} is not an actor; name one as KIND:ID, such as task:review-pr-123`,
  );
}

/** `CHAIN/SEQ`, or a number of the newest chain of actors. */
function entryOf(sqlite: Sqlite.Database, text: string): ReceiptSubject {
  const [, named, number] = /^(?:(.+)\/)?([1-9]\d{0,14})$/.exec(text) ?? [];
  const chain = named ?? chainsOf(sqlite).findLast((name) => parseChain(name)?.stream === 'actors');
  if (number !== undefined && chain !== undefined && parseChain(chain)) return { chain, seq: Number(number) };
  if (chain === undefined && number !== undefined)
    throw new FabricError('TARGET_NOT_FOUND', 'the witness has no entries of actors yet');
  throw new FabricError(
    'INVALID_REQUEST',
    `--seq must be the number of an entry, or CHAIN/SEQ such as IF_actors/1/57, not ${JSON.stringify(text.slice(0, 80))}`,
  );
}

/** The newest heads of all chains, by the key that signed the newest of them. */
function storedHeads(sqlite: Sqlite.Database): SignedHead[] {
  const chains = chainsOf(sqlite);
  const newest = chains
    .flatMap((chain) => latestHead(sqlite, chain) ?? [])
    .sort((a, b) => b.issued_at - a.issued_at)[0];
  return newest ? chains.flatMap((chain) => latestHead(sqlite, chain, newest.key) ?? []) : [];
}

/** Of an actor whose entries were all pruned, the receipt that pruning kept. */
function makeOrKept(
  sqlite: Sqlite.Database,
  subject: ReceiptSubject,
  heads: readonly SignedHead[],
  signer: SigningKey | undefined,
): Receipt {
  try {
    return makeReceipt(sqlite, subject, heads, signer);
  } catch (error) {
    const isGone = error instanceof FabricError && error.code === 'TARGET_NOT_FOUND';
    const kept = isGone && 'kind' in subject ? keptReceipt(sqlite, subject) : undefined;
    if (kept) return kept;
    throw error;
  }
}

function keptReceipt(sqlite: Sqlite.Database, { kind, id }: { kind: string; id: string }): Receipt | undefined {
  if (!hasTable(sqlite, 'kept')) return undefined;
  const text = sqlite
    .prepare<[string, string], string>('SELECT receipt FROM kept WHERE kind = ? AND actor_id = ?')
    .pluck()
    .get(kind, id);
  return text === undefined ? undefined : (JSON.parse(text) as Receipt);
}

/** What a receipt is about, for people. */
export function subjectName({ actor, entries }: Receipt): string {
  const [entry] = entries;
  if (actor !== null || !entry) return actor ?? '';
  const of =
    entry.kind === null || entry.actor_id === null ? '' : `, of ${formatRef({ kind: entry.kind, id: entry.actor_id })}`;
  return `${entry.chain}/${entry.seq}${of}`;
}
