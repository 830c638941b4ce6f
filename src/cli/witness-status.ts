/** The witnesses of a running fabric: which there are, how far each is, and whether it can store. */
import type { JetStreamManager } from '@nats-io/jetstream';
import { consumerOf, type WitnessProgress, witnessesOf } from '../../actors/witness/witness-consumers.ts';
import type { WitnessStatus } from '../../actors/witness/witness-requests.ts';
import type { FabricClient } from '../bus/client.ts';
import type { Namespace } from '../namespace.ts';

export interface KnownWitness {
  id: string;
  /** Whether it asks for messages, or answers; one that does not may come back. */
  present: boolean;
  /** Messages of all audited streams that it has not stored. */
  lag: number;
  /** `<host>:<path of its database>`; null when it does not answer, as is all of what follows. */
  place: string | null;
  audited: boolean | null;
  /** Why it cannot store. */
  reason: string | null;
  /** Since when it can store, or cannot, milliseconds since 1970. */
  since: number | null;
  /** When it last signed a checkpoint. */
  checkpoint_at: number | null;
}

/** How far each witness is, by audited stream. */
export type LagsByStream = ReadonlyMap<string, readonly WitnessProgress[]>;

/** How long one may take to answer, milliseconds. */
const answerMs = 2_000;

export async function lagsByStream(jsm: JetStreamManager, namespace: Namespace): Promise<LagsByStream> {
  const streams = namespace.auditedStreams.map(({ stream }) => stream);
  return new Map(await Promise.all(streams.map(async (stream) => [stream, await witnessesOf(jsm, stream)] as const)));
}

/** What no witness has stored: of those that are there, the one that is furthest. */
export function leastLag(progress: readonly WitnessProgress[], messages: number): number {
  const present = progress.filter(({ present }) => present);
  const lags = (present.length > 0 ? present : progress).map(({ lag }) => lag);
  return lags.length > 0 ? Math.min(...lags) : messages;
}

/** By id. Never throws: one that does not answer is known by its consumers only. */
export async function askWitnesses(client: FabricClient, lags: LagsByStream): Promise<KnownWitness[]> {
  const found = new Map<string, { present: boolean; lag: number }>();
  for (const progress of lags.values()) {
    for (const { witness, present, lag } of progress) {
      const known = found.get(witness) ?? { present: false, lag: 0 };
      found.set(witness, { present: known.present || present, lag: known.lag + lag });
    }
  }
  return await Promise.all(
    [...found].map(async ([id, { present, lag }]) => {
      const status = await client
        .request<WitnessStatus>(consumerOf(id), 'status', {}, { timeoutMs: present ? answerMs : 300 })
        .catch(() => undefined);
      const { place = null, audited = null, reason = null, since = null, checkpoint_at = null } = status ?? {};
      return { id, present: present || status !== undefined, lag, place, audited, reason, since, checkpoint_at };
    }),
  );
}

/** Whether what is changed can be stored: as far as is known, unless every witness that answers says that it cannot. */
export function isAudited(witnesses: readonly KnownWitness[]): boolean {
  const answered = witnesses.filter(({ audited }) => audited !== null);
  return answered.length === 0 || answered.some(({ audited }) => audited === true);
}
