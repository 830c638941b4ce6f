/**
 * The floor of a commit: a compare-and-swap on a key of a stream like the fabric's own, by the bare client, with a body of
 * the size of a record and no header but the expected revision.
 */
import { randomBytes } from 'node:crypto';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/nats-core';
import type { Namespace } from '../src/namespace.ts';
import { streamConfigs } from '../src/store/streams.ts';

const benchStream = 'KV_BENCH';

export class BareCas {
  readonly #nc: NatsConnection;
  readonly #body: Uint8Array;
  readonly #revisions = new Map<string, number>();

  private constructor(nc: NatsConnection, bodyBytes: number) {
    this.#nc = nc;
    this.#body = randomBytes(bodyBytes);
  }

  static async prepare(nc: NatsConnection, ns: Namespace, bodyBytes: number): Promise<BareCas> {
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    const [actors] = streamConfigs(ns, { replicas: 3, storage: 'memory', maxLogBytes: 1024 ** 3 });
    const republish = { src: '$KV.BENCH.>', dest: 'bench.event.>' };
    await jsm.streams.add({ ...actors!, name: benchStream, subjects: ['$KV.BENCH.>'], republish });
    await leadTogether(nc, jsm, ns.actorsStream);
    const floor = new BareCas(nc, bodyBytes);
    for (let tries = 0; ; tries++) {
      try {
        await floor.swap('ready');
        return floor;
      } catch (error) {
        if (tries > 50) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  async swap(key: string): Promise<void> {
    const h = headers();
    h.set('Nats-Expected-Last-Subject-Sequence', String(this.#revisions.get(key) ?? 0));
    const reply = await this.#nc.request(`$KV.BENCH.${key}`, this.#body, { headers: h, timeout: 5_000 });
    const { seq, error } = reply.json<{ seq?: number; error?: unknown }>();
    if (seq === undefined) throw new Error(`the bare compare-and-swap failed: ${JSON.stringify(error)}`);
    this.#revisions.set(key, seq);
  }
}

/**
 * Moves the leader of the floor's stream to the node that leads the actors' log: a hop more for one of the two would be
 * most of what is measured.
 */
async function leadTogether(nc: NatsConnection, jsm: JetStreamManager, actorsStream: string): Promise<void> {
  const leaderOf = async (stream: string) => (await jsm.streams.info(stream)).cluster?.leader;
  for (let tries = 0; tries < 50; tries++) {
    const preferred = await leaderOf(actorsStream);
    if (preferred !== undefined && (await leaderOf(benchStream)) === preferred) return;
    await nc.request(`$JS.API.STREAM.LEADER.STEPDOWN.${benchStream}`, JSON.stringify({ placement: { preferred } }), {
      timeout: 5_000,
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error('the two streams are not led by one node; the figures would not be comparable');
}
