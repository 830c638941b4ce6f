/**
 * Rows of messages, fast: those of records and journal entries are made straight from their MessagePack bytes. Whatever
 * is unusual about a message takes the way of `entryOf`, with the same result.
 */
import { CanonicalWriter } from '../data/canonical-bytes.ts';
import { encodingOf } from '../data/codec.ts';
import type { ChainName } from './chain-name.ts';
import type { UnchainedRow } from './columns.ts';
import { derive, derivedOutline } from './derive.ts';
import { entryOf } from './entry.ts';
import type { WitnessMessage } from './message.ts';

export class EntryMaker {
  readonly #writer = new CanonicalWriter(derivedOutline);

  /** The row; bytes in it are valid until the next call. */
  make(name: ChainName, message: WitnessMessage): UnchainedRow {
    return this.#fast(name, message) ?? entryOf(name, message);
  }

  #fast(name: ChainName, message: WitnessMessage): UnchainedRow | undefined {
    // The first message may be an epoch record, of which more is looked at; changes of keys carry theirs in headers.
    if (message.seq === 1 || name.stream === 'bus') return undefined;
    if (encodingOf(message.body, message.headers?.get('Content-Type')) !== 'msgpack') return undefined;
    const text = this.#writer.write(message.body);
    const derived = text && derive(name, message.seq, text.outline);
    if (!derived) return undefined;
    return {
      chain: `${name.label}/${name.epoch}`,
      seq: message.seq,
      timestamp: message.time_ms,
      component: derived.component,
      event: derived.event,
      swarm_id: derived.swarm_id,
      kind: derived.kind,
      actor_id: derived.actor_id,
      n: derived.n,
      trace_id: derived.trace_id,
      payload: text.json,
      tokens_in: derived.tokens_in,
      tokens_out: derived.tokens_out,
      cost_usd: derived.cost_usd,
      model: derived.model,
    };
  }
}
