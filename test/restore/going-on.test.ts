import { afterEach, describe, expect, it } from 'vitest';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { until } from '../support/temp.ts';
import { LastingFabric } from './lasting-fabric.ts';

let lasting: LastingFabric;

let stop: AbortController;

afterEach(async () => {
  stop.abort();
  await lasting?.remove();
});

interface Created {
  readonly task_id: string;
  readonly revision: number;
}

describe('writers that go on while all nodes end, twice', () => {
  it.each([1, 3] as const)(
    '%i nodes: write nothing into a log that has not begun',
    { timeout: 120_000 },
    async (nodes) => {
      lasting = await LastingFabric.create({ nodes, coordinators: 2 });
      await lasting.up();
      const operator = await lasting.join('operator');
      stop = new AbortController();
      let created: Created[] = [];
      let next = 0;
      const writer = async () => {
        while (!stop.signal.aborted) {
          const task_id = `t${++next}`;
          const event = { event: 'note', component: 'load', trace_id: task_id, payload: {} };
          const request = operator.request<Created>(
            'task',
            'create',
            { task_id, task_type: 'load' },
            { timeoutMs: 30_000 },
          );
          const noted = operator.request('witness', 'log', event, { timeoutMs: 30_000 });
          const [answer] = await Promise.allSettled([request, noted]);
          if (answer.status === 'fulfilled') created.push(answer.value);
          else await new Promise((resolve) => setTimeout(resolve, 20));
        }
      };
      const writing = Promise.all(Array.from({ length: 8 }, writer));
      for (const epoch of [2, 3]) {
        await until('tasks are created', () => created.length > 20, 40_000);
        lasting.killNodes();
        await until(
          `epoch ${epoch} is restored`,
          () =>
            lasting.told.some((line) => line.includes(`epoch ${epoch} begins`)) &&
            lasting.told.filter((line) => line.startsWith('restored')).length === epoch - 1,
          60_000,
        );
        created = [];
      }
      await until('tasks are created', () => created.length > 20, 40_000);
      stop.abort();
      await writing;
      for (const { task_id } of created.slice(-20))
        expect(await operator.request('task', 'get', { task_id })).toMatchObject({ state: 'available' });
      expect(lasting.escalations).toEqual([]);
      await lasting.down();
      const report = verifyDatabase(lasting.witnessDb);
      expect(report.chains.flatMap(({ errors }) => errors)).toEqual([]);
      expect(report.chains.map(({ chain }) => chain).filter((chain) => chain.endsWith('/3'))).toHaveLength(3);
    },
  );
});
