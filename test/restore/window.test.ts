/**
 * How much of what was acknowledged is lost when all nodes end at once under load: with streams in memory what was not in
 * the witness yet, with streams on disk nothing. The figures are printed.
 */
import { afterEach, describe, expect, it } from 'vitest';
import type { FabricClient } from '../../src/bus/client.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { until } from '../support/temp.ts';
import { LastingFabric } from './lasting-fabric.ts';

interface Acknowledged {
  readonly task_id: string;
  /** The sequence in the stream of the first epoch. */
  readonly revision: number;
  /** When the answer came, by `performance.now()`. */
  readonly at: number;
}

const writers = 32;
const loadMs = 3_000;

let lasting: LastingFabric;

afterEach(async () => await lasting?.remove());

/** Creates tasks until it is told to stop; keeps what the fabric has acknowledged. */
async function load(client: FabricClient, stop: AbortSignal): Promise<Acknowledged[]> {
  const acknowledged: Acknowledged[] = [];
  let next = 0;
  const writer = async () => {
    while (!stop.aborted) {
      const task_id = `t${++next}`;
      try {
        const task = { task_id, task_type: 'load', metadata: { text: 'x'.repeat(200) } };
        const { revision } = await client.request<Acknowledged>('task', 'create', task, { timeoutMs: 2_000 });
        acknowledged.push({ task_id, revision, at: performance.now() });
      } catch {
        // The nodes are gone; what was not answered was not acknowledged.
      }
    }
  };
  await Promise.all(Array.from({ length: writers }, writer));
  return acknowledged;
}

/** Loads the fabric, ends its nodes at once, and resolves with what was acknowledged before that. */
async function lossUnderLoad(): Promise<{ acknowledged: Acknowledged[]; killedAt: number }> {
  const operator = await lasting.join('operator');
  const stop = new AbortController();
  const loading = load(operator, stop.signal);
  await new Promise((resolve) => setTimeout(resolve, loadMs));
  lasting.killNodes();
  const killedAt = performance.now();
  stop.abort();
  return { acknowledged: (await loading).filter(({ at }) => at <= killedAt + 50), killedAt };
}

/** The stream sequences of the first epoch that the witness has. */
function stored(): Set<number> {
  return new Set(
    lasting.rows<{ seq: number }>(`SELECT seq FROM entries WHERE chain = 'IF_actors/1'`).map(({ seq }) => seq),
  );
}

async function answers(): Promise<FabricClient> {
  const operator = await lasting.join('operator');
  await until(
    'the fabric answers again',
    async () =>
      await operator.request('task', 'list', { limit: 1 }, { timeoutMs: 2_000 }).then(
        () => true,
        () => false,
      ),
    60_000,
  );
  return operator;
}

describe('acknowledged transitions after all nodes ended at once', () => {
  it('in memory, are lost as far as they were not in the witness yet', { timeout: 120_000 }, async () => {
    lasting = await LastingFabric.create({ nodes: 3 });
    await lasting.up();
    const { acknowledged, killedAt } = await lossUnderLoad();
    await until('a new epoch begins', () => lasting.told.some((line) => line.startsWith('restored')), 60_000);
    const operator = await answers();
    const inWitness = stored();
    const lost = acknowledged.filter(({ revision }) => !inWitness.has(revision));
    const windowMs = Math.max(0, ...lost.map(({ at }) => killedAt - at));
    console.log(
      `window, storage memory: ${lost.length} of ${acknowledged.length} acknowledged transitions lost, the oldest ${windowMs.toFixed(1)} ms before the loss`,
    );
    expect(acknowledged.length).toBeGreaterThan(100);
    // What is there is a beginning of what happened, without holes.
    const last = Math.max(...inWitness);
    expect(lost.every(({ revision }) => revision > last)).toBe(true);
    for (const { task_id } of acknowledged.filter(({ revision }) => revision <= last).slice(-50))
      expect(await operator.request('task', 'get', { task_id })).toMatchObject({ state: 'available', n: 2 });
    await lasting.down();
    expect(verifyDatabase(lasting.witnessDb)).toMatchObject({ ok: true });
  });

  it('on disk, are all there', { timeout: 120_000 }, async () => {
    lasting = await LastingFabric.create({ nodes: 3, storage: 'file' });
    await lasting.up();
    const { acknowledged } = await lossUnderLoad();
    const operator = await answers();
    const highest = Math.max(...acknowledged.map(({ revision }) => revision));
    await until('the witness has caught up', () => stored().has(highest), 30_000);
    const inWitness = stored();
    const lost = acknowledged.filter(({ revision }) => !inWitness.has(revision));
    console.log(`window, storage file: ${lost.length} of ${acknowledged.length} acknowledged transitions lost`);
    expect(lost).toEqual([]);
    expect(lasting.told.some((line) => line.includes('epoch 2'))).toBe(false);
    for (const { task_id } of acknowledged.slice(-50))
      expect(await operator.request('task', 'get', { task_id })).toMatchObject({ state: 'available', n: 1 });
    await lasting.down();
    expect(verifyDatabase(lasting.witnessDb)).toMatchObject({ ok: true });
  });
});
