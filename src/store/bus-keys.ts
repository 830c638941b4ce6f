/** Keys of the bus that are put back as the witness has them, where there is nothing yet. */
import { headers, type NatsConnection } from '@nats-io/nats-core';
import { backOff } from '../backoff.ts';
import { answerOf, isClosed, jsCode, type PublishAnswer } from '../bus/jetstream-answer.ts';
import { contentTypes, encodeBody } from '../data/codec.ts';
import { FabricError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import type { Epoch } from '../witness/epoch.ts';
import { EpochGate } from './epoch-gate.ts';
import type { LastEntry } from './restore-source.ts';

/** Of a value that JSON cannot say exactly there are the bytes, in base64; of an empty one neither. */
interface KeyChange {
  readonly key: string;
  readonly value?: unknown;
  readonly body?: string;
  readonly by?: string;
  readonly trace_id?: string;
}

const mostTries = 120;

export class BusKeys {
  readonly #nc: NatsConnection;
  readonly #bucket: string;
  readonly #gate: EpochGate;

  constructor(nc: NatsConnection, namespace: Namespace, epoch: Epoch) {
    this.#nc = nc;
    this.#bucket = namespace.busBucket;
    this.#gate = new EpochGate(nc, namespace, epoch);
  }

  /** @throws FabricError UNAVAILABLE */
  async putBack({ payload }: LastEntry): Promise<void> {
    const { key, value, body: bytes = '', by, trace_id } = JSON.parse(payload) as KeyChange;
    const h = headers();
    const body = value === undefined ? Buffer.from(bytes, 'base64') : encodeBody(value, 'msgpack');
    if (value !== undefined) h.set('Content-Type', contentTypes.msgpack);
    h.set('Nats-Expected-Last-Subject-Sequence', '0');
    h.set('IF-Event', 'RESTORED');
    if (by !== undefined) h.set('IF-By', by);
    if (trace_id !== undefined) h.set('IF-Trace', trace_id);
    for (let attempt = 0, why: unknown; ; attempt++) {
      try {
        if (!this.#gate.isOpen) await this.#gate.opened(1_000);
        const reply = await this.#nc.request(`$KV.${this.#bucket}.${key}`, body, { headers: h, timeout: 1_000 });
        const { error } = answerOf<PublishAnswer>(reply);
        // There is a value: of an earlier try, or of a restore that was interrupted.
        if (!error || error.err_code === jsCode.wrongLastSequence) return;
        why = error.description;
      } catch (error) {
        if (isClosed(error) || (error instanceof FabricError && error.details?.['lost'] === true)) throw error;
        why = error;
      }
      if (attempt >= mostTries)
        throw new FabricError('UNAVAILABLE', `the key ${key} was not restored; try again`, undefined, { cause: why });
      await backOff({ first: 10, max: 500 }, attempt);
    }
  }
}
