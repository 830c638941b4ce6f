/**
 * Whether what was kept of removed entries is what was signed, neither more nor less nor older: every signed end of a
 * label holds the digest of all that is kept of the chains of this label.
 */
import { createHash, type Hash } from 'node:crypto';
import type Sqlite from 'better-sqlite3';
import { canonicalJson } from '../../data/canonical.ts';
import { FabricError } from '../../errors.ts';
import { parseChain } from '../chain-name.ts';
import type { TrustedKeys } from '../proofs/trusted-keys.ts';
import { type KeptItem, keptItems } from './kept.ts';
import { readEnds, type SignedEnd, verifyEnd } from './statement.ts';

export interface KeptFault {
  readonly chain: string;
  readonly seq: number;
  readonly message: string;
}

/** Kept entries that were never removed, as far as they are named one by one. */
const maxStrays = 100;

/**
 * The digests of what is kept, by label: the SHA-256 of the canonical JSON of the list of `[kind, actor_id, chain, seq,
 * content_hash]` in order of the UTF-8 bytes of id, then kind, in which `add` takes them.
 */
export class KeptSet {
  readonly #ends: ReadonlyMap<string, SignedEnd>;
  readonly #lists = new Map<string, { readonly hash: Hash; count: number }>();
  readonly #strays: KeptFault[] = [];

  constructor(ends: readonly SignedEnd[] = []) {
    this.#ends = new Map(ends.map((end) => [end.chain, end]));
  }

  add({ kind, actor_id, chain, seq, content_hash }: KeptItem): void {
    const label = labelOf(chain);
    const list = this.#lists.get(label) ?? { hash: createHash('sha256'), count: 0 };
    this.#lists.set(label, list);
    list.hash.update(`${list.count === 0 ? '[' : ','}${canonicalJson([kind, actor_id, chain, seq, content_hash])}`);
    list.count += 1;
    if (seq > (this.#ends.get(chain)?.seq ?? 0) && this.#strays.length < maxStrays) {
      const message = `the kept entry of ${kind}:${actor_id} was added: nothing was removed there`;
      this.#strays.push({ chain, seq, message });
    }
  }

  /** Of all that was added of the label of the chain so far. */
  digest(chain: string): string {
    const list = this.#lists.get(labelOf(chain));
    return (list?.hash.copy().update(']') ?? createHash('sha256').update('[]')).digest('hex');
  }

  /** In what it differs from what the ends say. */
  faults(): KeptFault[] {
    const differing = [...this.#ends.values()].filter((end) => end.kept !== this.digest(end.chain));
    const sets = differing.map(({ chain, seq }) => {
      const count = this.#lists.get(labelOf(chain))?.count ?? 0;
      const what = `the ${count} kept entries of actors whose entries were removed are not those that were signed`;
      return { chain, seq, message: `${what}: some were removed, added, or exchanged for older ones` };
    });
    return [...this.#strays, ...sets];
  }
}

/**
 * The signed ends of a file whose kept entries are those that were signed. Without keys, only whether the two agree.
 * @throws FabricError CONFLICT when they are not, when a trusted key did not sign an end, or when one is malformed
 */
export function requireKept(sqlite: Sqlite.Database, trusted: TrustedKeys | undefined): SignedEnd[] {
  const ends = readEnds(sqlite).map(({ chain, end }) => {
    if (!end) throw refusal(`the signed end of what was removed of ${String(chain)} is malformed`);
    const verdict = trusted ? verifyEnd(end, trusted) : 'ok';
    if (verdict === 'bad signature') throw refusal(`the end of what was removed of ${end.chain} has a bad signature`);
    if (verdict === 'unknown key') throw unknownKey(end);
    return end;
  });
  const set = new KeptSet(ends);
  for (const item of keptItems(sqlite)) set.add(item);
  const [fault] = set.faults();
  if (fault) throw refusal(`${fault.chain}: ${fault.message}`);
  return ends;
}

function refusal(why: string): FabricError {
  return new FabricError(
    'CONFLICT',
    `what was kept of removed entries was altered: ${why}; \`infrafabric witness verify\` says more, a copy of the database from before has it right`,
  );
}

function unknownKey({ chain, key }: SignedEnd): FabricError {
  return new FabricError(
    'CONFLICT',
    `the end of what was removed of ${chain} is signed by the unknown key ${key}; if it is that of the fabric that this history comes from, append its public key to witness.pub`,
  );
}

function labelOf(chain: string): string {
  return parseChain(chain)?.label ?? '';
}
