/**
 * The transitions of one actor, oldest first: what the witness has of it, also from earlier epochs and of what was trimmed
 * from the log, then what only the log has yet.
 */
import type { ActorRef } from '../../machines/address.ts';
import type { ActorRecord } from '../../machines/record.ts';
import { FabricError } from '../errors.ts';
import { readEpoch } from '../store/epoch.ts';
import { StreamReader } from '../store/stream-reader.ts';
import { formatChain } from '../witness/chain-name.ts';
import type { QueryPage } from '../witness/query/query.ts';
import type { FabricSession } from './fabric-session.ts';

export interface Transition {
  /** The stream and epoch in which it is on record, and its place there. */
  readonly chain: string;
  readonly seq: number;
  readonly record: ActorRecord;
}

export interface History {
  readonly transitions: readonly Transition[];
  /** False when only the log could be asked, which may have been trimmed. */
  readonly isWitnessed: boolean;
}

const pageLimit = 1_000;
/** How long to ask a witness that may be down, milliseconds. */
const witnessPatienceMs = 3_000;

/** The last `last` transitions, or all. @throws FabricError UNAVAILABLE when the log cannot be read */
export async function historyOf(session: FabricSession, ref: ActorRef, last?: number): Promise<History> {
  const { client, namespace } = session;
  const { epoch } = await readEpoch(client.connection, namespace);
  const chain = formatChain(namespace.actorsBucket, epoch);
  const witnessed = await fromWitness(session, ref, last).catch((error: unknown) => {
    if (error instanceof FabricError && (error.code === 'UNAVAILABLE' || error.code === 'TIMEOUT')) return undefined;
    throw error;
  });
  const known = witnessed?.findLast((transition) => transition.chain === chain)?.seq ?? 0;
  const transitions = [...(witnessed ?? [])];
  const reader = new StreamReader(client.connection, namespace.actorsStream);
  const subject = namespace.actorSubject(ref);
  for (let next = await reader.next(subject, known + 1); next; next = await reader.next(subject, next.revision + 1)) {
    transitions.push({ chain, seq: next.revision, record: next.record });
  }
  return {
    transitions: last === undefined ? transitions : transitions.slice(-last),
    isWitnessed: witnessed !== undefined,
  };
}

async function fromWitness(
  { client, namespace }: FabricSession,
  { kind, id }: ActorRef,
  last: number | undefined,
): Promise<Transition[]> {
  const found: Transition[] = [];
  const filter = { kind, id, order: 'desc', limit: Math.min(last ?? pageLimit, pageLimit) };
  for (let cursor: string | null | undefined; cursor !== null && found.length < (last ?? Number.POSITIVE_INFINITY); ) {
    const body = cursor === undefined ? filter : { ...filter, cursor };
    const page: QueryPage = await client.request<QueryPage>('witness', 'query', body, { timeoutMs: witnessPatienceMs });
    for (const { chain, seq, payload } of page.entries) {
      // Other streams may hold entries about an actor; its transitions are in the log of actors.
      if (chain.startsWith(`${namespace.actorsBucket}/`))
        found.push({ chain, seq, record: payload as unknown as ActorRecord });
    }
    cursor = page.cursor;
  }
  // By time alone, transitions of the same millisecond could change places.
  return found.sort((a, b) => epochOf(a.chain) - epochOf(b.chain) || a.seq - b.seq);
}

function epochOf(chain: string): number {
  return Number(chain.slice(chain.lastIndexOf('/') + 1));
}
