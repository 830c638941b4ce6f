/** The contract of the actor store over its record log: one suite, run over JetStream and over the log in memory. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { SwarmContext } from '../../machines/swarm/context.ts';
import { swarmMachine } from '../../machines/swarm/machine.ts';
import type { TaskContext } from '../../machines/task/context.ts';
import { taskMachine } from '../../machines/task/machine.ts';
import { SimulatedClock } from '../../src/clock.ts';
import { FabricError } from '../../src/errors.ts';
import { ActorStore, type ActorStoreOptions } from '../../src/store/actor-store.ts';
import { type Appended, maxWrites, type RecordLog, type StoredRecord } from '../../src/store/record-log.ts';
import { newId } from '../../src/store/unique-id.ts';
import { all, cause, claim, create, freshId, register, release } from './fixtures.ts';

/** A log, as two processes see it. */
export interface Logs {
  readonly one: RecordLog;
  readonly other: RecordLog;
}

const task = (id: string) => ({ kind: 'task', id });
const stateOf = (stored: StoredRecord | undefined) => stored?.record.snapshot.value;
const grantsOf = (stored: StoredRecord | undefined) =>
  (stored?.record.snapshot.context as SwarmContext | undefined)?.grants ?? [];
const contextOf = (stored: StoredRecord | undefined) => stored?.record.snapshot.context as TaskContext;
const codeOf = async (promise: Promise<unknown>) =>
  await promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof FabricError ? error.code : String(error)),
  );

/** Counts reads of the leader, and can let something happen just before a commit. */
class Watched implements RecordLog {
  readonly #log: RecordLog;
  reads = 0;
  appends = 0;
  beforeAppend: () => Promise<unknown> = async () => {};

  constructor(log: RecordLog) {
    this.#log = log;
  }
  async read(ref: { kind: string; id: string }) {
    this.reads++;
    return await this.#log.read(ref);
  }
  async append(...args: Parameters<RecordLog['append']>): Promise<Appended> {
    this.appends++;
    await this.beforeAppend();
    return await this.#log.append(...args);
  }
  async lastRevision(kind: string) {
    return await this.#log.lastRevision(kind);
  }
  history(ref: { kind: string; id: string }) {
    return this.#log.history(ref);
  }
}

export function storeContract(open: () => Promise<Logs>): void {
  let logs: Logs;
  let clock: SimulatedClock;
  let watched: Watched;
  /** Two stores, as two processes have them. */
  let here: ActorStore;
  let there: ActorStore;

  const storeOn = (log: RecordLog, options: Partial<ActorStoreOptions> = {}) =>
    new ActorStore({ log, clock, newId, ...options });

  beforeAll(async () => {
    logs = await open();
    clock = new SimulatedClock();
    watched = new Watched(logs.one);
    here = storeOn(watched);
    there = storeOn(logs.other);
  });

  const created = async (store = here) => {
    const id = freshId();
    await store.dispatch(taskMachine, id, create, cause);
    return id;
  };
  const swarm = async (store = here, event: typeof register & { [field: string]: unknown } = register) => {
    const id = freshId('swarm').toLowerCase().replaceAll('_', '-');
    await store.dispatch(swarmMachine, id, event, { by: id, trace_id: 't' });
    return id;
  };
  const events = async (id: string) => (await all(logs.one.history(task(id)))).map(({ record }) => record.event.type);

  describe('a dispatch', () => {
    it('writes one record that says who did what, when and why, and what came of it', async () => {
      const id = freshId();
      const stored = await here.dispatch(taskMachine, id, create, cause);
      const { record } = stored;
      expect(record).toMatchObject({
        v: taskMachine.version,
        kind: 'task',
        id,
        n: 1,
        by: 'alpha',
        trace_id: 'trace-1',
        at: clock.now(),
      });
      expect(record.event).toMatchObject({ ...create, at: clock.now() });
      expect(record.snapshot).toMatchObject({ status: 'active', value: 'available' });
      expect(await logs.other.read(task(id))).toEqual(stored);
    });

    it('counts the transitions of the actor from 1', async () => {
      const id = await created();
      const claimed = await here.dispatch(taskMachine, id, claim('alpha'), cause);
      expect(claimed.record.n).toBe(2);
      expect((await here.dispatch(taskMachine, id, release('alpha', claimed), cause)).record.n).toBe(3);
      expect(await events(id)).toEqual(['CREATE', 'CLAIM', 'RELEASE']);
    });

    it('costs one round trip where the actor is known', async () => {
      const id = await created();
      const { reads, appends } = watched;
      await here.dispatch(taskMachine, id, claim('alpha'), cause);
      expect([watched.reads - reads, watched.appends - appends]).toEqual([0, 1]);
    });

    it('is refused with the reason of the machine, and writes nothing', async () => {
      const id = await created();
      const { appends } = watched;
      await expect(
        here.dispatch(taskMachine, id, { type: 'START', by: 'beta', token: 1 }, cause),
      ).rejects.toMatchObject({ name: 'FabricError', code: 'NOT_OWNER', details: { owner: null } });
      expect(watched.appends).toBe(appends);
      expect(await events(id)).toEqual(['CREATE']);
    });
  });

  describe('a transaction of several actors', () => {
    it('is one commit: its records follow each other without a gap', async () => {
      const ids = [freshId(), freshId(), freshId()];
      const revisions = await here.transact(cause, () => ({
        send: ids.map((id) => ({ machine: taskMachine, id, event: create })),
        answer: (committed) => committed.map(({ revision }) => revision),
      }));
      const [first = 0] = revisions;
      expect(revisions).toEqual([first, first + 1, first + 2]);
      for (const [i, id] of ids.entries()) expect((await logs.other.read(task(id)))?.revision).toBe(revisions[i]);
    });

    it('writes nothing at all when one of its events is refused', async () => {
      const id = freshId();
      const taken = await created();
      const both = here.transact(cause, () => ({
        send: [id, taken].map((one) => ({ machine: taskMachine, id: one, event: create })),
        answer: () => {},
      }));
      expect(await codeOf(both)).toBe('TASK_EXISTS');
      expect(await logs.one.read(task(id))).toBeUndefined();
    });

    it('writes nothing when one of the actors has changed meanwhile, decides again, and then writes all', async () => {
      const [a, b] = [await created(), await created()];
      await there.dispatch(taskMachine, b, claim('gamma'), cause);
      const seen: unknown[] = [];
      const answer = await here.transact(cause, async (view) => {
        const [first, second] = [await view.get(taskMachine, a), await view.get(taskMachine, b)];
        seen.push([first.snapshot.value, second.snapshot.value]);
        if (second.snapshot.value === 'claimed')
          return { send: [{ machine: taskMachine, id: a, event: claim('alpha') }], answer: () => 'a only' };
        return {
          send: [a, b].map((id) => ({ machine: taskMachine, id, event: claim('alpha') })),
          answer: () => 'both',
        };
      });
      expect(answer).toBe('a only');
      expect(seen).toEqual([
        ['available', 'available'],
        ['available', 'claimed'],
      ]);
      expect([await events(a), await events(b)]).toEqual([
        ['CREATE', 'CLAIM'],
        ['CREATE', 'CLAIM'],
      ]);
      expect(contextOf(await logs.one.read(task(b))).owner).toBe('gamma');
    });

    it('may hold several events of one actor, which build on each other, between those of others', async () => {
      const [a, b] = [freshId(), freshId()];
      const token = 2 ** 32 + 1;
      const committed = await here.transact(cause, () => ({
        send: [
          { machine: taskMachine, id: a, event: create },
          { machine: taskMachine, id: b, event: create },
          { machine: taskMachine, id: a, event: claim('alpha') },
          { machine: taskMachine, id: b, event: claim('beta') },
          { machine: taskMachine, id: a, event: { type: 'START', by: 'alpha', token } },
        ],
        answer: (records) => records,
      }));
      const first = committed[0]?.revision ?? 0;
      expect(committed.map(({ record, revision }) => [record.id, record.n, revision - first])).toEqual([
        [a, 1, 0],
        [b, 1, 1],
        [a, 2, 2],
        [b, 2, 3],
        [a, 3, 4],
      ]);
      expect(new Set(committed.map(({ record }) => record.event.id)).size).toBe(5);
      expect(await all(logs.other.history(task(a)))).toEqual(committed.filter(({ record }) => record.id === a));
      // What follows builds on the last of them, in this process and in another one.
      const done = { type: 'COMPLETE', by: 'alpha', token, result: null };
      expect((await there.dispatch(taskMachine, a, done, cause)).record.n).toBe(4);
      expect((await here.dispatch(taskMachine, b, { type: 'START', by: 'beta', token }, cause)).record.n).toBe(3);
    });

    it('conflicts as a whole when an actor of which it holds several events has changed', async () => {
      const id = await created();
      const claimed = await there.dispatch(taskMachine, id, claim('gamma'), cause);
      await there.dispatch(taskMachine, id, release('gamma', claimed), cause);
      let runs = 0;
      const committed = await here.transact(cause, () => {
        runs++;
        const token = 2 ** 32 + runs;
        const start = { type: 'START', by: 'alpha', token };
        return {
          send: [claim('alpha'), start].map((event) => ({ machine: taskMachine, id, event })),
          answer: (records) => records,
        };
      });
      expect(runs).toBe(2);
      expect(committed.map(({ record }) => record.n)).toEqual([4, 5]);
      expect(await events(id)).toEqual(['CREATE', 'CLAIM', 'RELEASE', 'CLAIM', 'START']);
    });
  });

  describe('what this process believes', () => {
    it('never makes a refusal: the leader of the log is asked first', async () => {
      const id = await created();
      const claimed = await here.dispatch(taskMachine, id, claim('alpha'), cause);
      await there.dispatch(taskMachine, id, release('alpha', claimed), cause);
      const { record } = await here.dispatch(taskMachine, id, claim('beta'), cause);
      expect([record.n, contextOf({ record, revision: 0 }).owner]).toEqual([4, 'beta']);
    });

    it('never makes a refusal by a plan either', async () => {
      const id = await created();
      await there.dispatch(taskMachine, id, claim('beta'), cause);
      const answer = await here.transact(cause, async (view) => {
        const { snapshot } = await view.get(taskMachine, id);
        if (snapshot.value === 'available') throw new FabricError('NOT_OWNER', 'nobody owns it');
        return { answer: snapshot.context.owner };
      });
      expect(answer).toBe('beta');
    });

    it('never makes an answer that changes nothing', async () => {
      const id = await created();
      await there.dispatch(taskMachine, id, claim('beta'), cause);
      const answer = await here.transact(cause, async (view) => ({
        answer: (await view.get(taskMachine, id)).snapshot.value,
      }));
      expect(answer).toBe('claimed');
    });

    it('is confirmed as a whole, also where only part of it was at hand', async () => {
      const [known, unknown] = [await created(here), await created(there)];
      const { reads } = watched;
      const answer = await here.transact(cause, async (view) => {
        const states = [await view.get(taskMachine, known), await view.get(taskMachine, unknown)];
        return { answer: states.map(({ snapshot }) => snapshot.value) };
      });
      expect(answer).toEqual(['available', 'available']);
      expect(watched.reads - reads).toBeLessThanOrEqual(4);
    });

    it('serves as a fact about another actor for a quarter of a second and no longer', async () => {
      const id = await swarm(here);
      const claimFor = async (taskId: string) =>
        await here.transact(cause, async (view) => {
          const { snapshot, revision } = await view.get(swarmMachine, id);
          const { registration, liveness, circuit } = snapshot.value as Record<string, string>;
          const facts = {
            registration,
            liveness,
            circuit,
            circuit_reasons: snapshot.context.circuit_reasons,
            capabilities: [],
            revision,
          };
          return { send: [{ machine: taskMachine, id: taskId, event: claim(id, facts) }], answer: () => 'claimed' };
        });
      const [first, second, third] = [await created(), await created(), await created()];
      const { reads } = watched;
      expect(await claimFor(first)).toBe('claimed');
      await clock.advance(100);
      expect(await claimFor(second)).toBe('claimed');
      expect(watched.reads).toBe(reads);
      await there.dispatch(swarmMachine, id, { type: 'PAUSE' }, { by: 'operator', trace_id: 't' });
      await clock.advance(151);
      expect(await codeOf(claimFor(third))).toBe('CIRCUIT_OPEN');
    });

    it('is bounded: the least recently used actors give way, and are read again', async () => {
      const small = storeOn(logs.one, { maxResidents: 4 });
      const ids: string[] = [];
      for (let i = 0; i < 10; i++) ids.push(await created(small));
      expect(small.residents.size).toBe(4);
      for (const id of ids) expect((await small.dispatch(taskMachine, id, claim('alpha'), cause)).record.n).toBe(2);
      expect(small.residents.size).toBe(4);
    });
  });

  describe('an actor that is presumed absent', () => {
    const createOnce = async (store: ActorStore, id: string, by: string) =>
      await store.transact({ by, trace_id: 't' }, async (view) => {
        const state = await view.presumeAbsent(taskMachine, id);
        if (state.last) return { answer: { created: false, by: state.last.record.by } };
        return {
          send: [{ machine: taskMachine, id, event: { ...create, by } }],
          answer: () => ({ created: true, by }),
        };
      });

    it('is created in one round trip', async () => {
      const { reads, appends } = watched;
      expect(await createOnce(here, freshId(), 'alpha')).toEqual({ created: true, by: 'alpha' });
      expect([watched.reads - reads, watched.appends - appends]).toEqual([0, 1]);
    });

    it('is found when it exists after all', async () => {
      const id = freshId();
      await createOnce(there, id, 'beta');
      expect(await createOnce(here, id, 'alpha')).toEqual({ created: false, by: 'beta' });
    });

    it('is created by exactly one of many who try at the same time', async () => {
      const id = freshId();
      const stores = Array.from({ length: 16 }, (_, i) => storeOn(i % 2 ? logs.one : logs.other));
      const answers = await Promise.all(stores.map(async (store, i) => await createOnce(store, id, `swarm-${i}`)));
      const winners = answers.filter(({ created: won }) => won);
      expect(winners).toHaveLength(1);
      expect(new Set(answers.map(({ by }) => by)).size).toBe(1);
      expect(await events(id)).toEqual(['CREATE']);
    });
  });

  describe('many at the same time', () => {
    it('lose no change of one actor', async () => {
      const id = await swarm(here);
      const stores = [here, there, storeOn(logs.one), storeOn(logs.other)];
      const names = Array.from({ length: 40 }, (_, i) => `cap-${i}`);
      const grant = async (name: string, i: number) =>
        await stores[i % stores.length]!.dispatch(swarmMachine, id, { type: 'GRANT', capabilities: [name] }, cause);
      const revisions = (await Promise.all(names.map(grant))).map(({ revision }) => revision);
      const last = await logs.one.read({ kind: 'swarm', id });
      expect(grantsOf(last).toSorted()).toEqual(names.toSorted());
      expect(last?.record.n).toBe(41);
      expect(new Set(revisions).size).toBe(40);
    });

    it('win a task exactly once, and everyone else is told who did', async () => {
      const id = await created();
      const stores = Array.from({ length: 8 }, (_, i) => storeOn(i % 2 ? logs.one : logs.other));
      const outcomes = await Promise.all(
        stores.flatMap((store, s) =>
          [0, 1, 2].map(
            async (i) =>
              await store
                .dispatch(taskMachine, id, claim(`swarm-${s}-${i}`), cause)
                .catch((error: FabricError) => error),
          ),
        ),
      );
      const refused = outcomes.filter((outcome) => outcome instanceof FabricError);
      expect(refused).toHaveLength(23);
      const owner = contextOf(await logs.one.read(task(id))).owner;
      for (const { code, details } of refused)
        expect([code, details?.['owner']]).toEqual(['TASK_NOT_AVAILABLE', owner]);
      expect(await events(id)).toEqual(['CREATE', 'CLAIM']);
    });
  });

  describe('the log', () => {
    it('gives the history of one actor, oldest first, as it was written', async () => {
      const id = freshId();
      const written: StoredRecord[] = [await here.dispatch(taskMachine, id, create, cause)];
      for (let i = 0; i < 5; i++) {
        written.push(await here.dispatch(taskMachine, id, claim(`swarm-${i}`), cause));
        await created(there);
        written.push(await there.dispatch(taskMachine, id, release(`swarm-${i}`, written.at(-1)!), cause));
      }
      expect(await all(logs.other.history(task(id)))).toEqual(written);
      expect(await all(logs.one.history(task(freshId())))).toEqual([]);
    });

    it('tells apart ids of which one continues the other', async () => {
      const id = freshId();
      await here.dispatch(taskMachine, `${id}.a`, create, cause);
      expect(await logs.one.read(task(id))).toBeUndefined();
      await here.dispatch(taskMachine, id, create, cause);
      expect(await all(logs.one.history(task(id)))).toHaveLength(1);
    });

    it('knows the last revision of a kind, whatever happened to others since', async () => {
      const { revision } = await here.dispatch(taskMachine, freshId(), create, cause);
      await swarm(there);
      expect(await logs.other.lastRevision('task')).toBe(revision);
      expect(await logs.other.lastRevision('blocker')).toBe(0);
    });

    it('refuses a record that is too large, and a commit of too many, and goes on', async () => {
      const id = freshId();
      const large = { ...create, metadata: { text: 'x'.repeat(5 * 1024 * 1024) } };
      await expect(here.dispatch(taskMachine, id, large, cause)).rejects.toMatchObject({
        code: 'PAYLOAD_TOO_LARGE',
        message: expect.stringContaining(`task:${id}`),
      });
      const many = Array.from({ length: maxWrites + 1 }, () => ({
        machine: taskMachine,
        id: freshId(),
        event: create,
      }));
      expect(await codeOf(here.transact(cause, () => ({ send: many, answer: () => {} })))).toBe('PAYLOAD_TOO_LARGE');
      expect(await logs.one.read(task(id))).toBeUndefined();
      expect(stateOf(await here.dispatch(taskMachine, id, create, cause))).toBe('available');
    });

    it('takes as many in one commit as it says', async () => {
      const ids = Array.from({ length: maxWrites }, () => freshId());
      const revisions = await here.transact(cause, () => ({
        send: ids.map((id) => ({ machine: taskMachine, id, event: create })),
        answer: (committed) => committed.map(({ revision }) => revision),
      }));
      expect(revisions.at(-1)! - revisions[0]!).toBe(maxWrites - 1);
      expect((await logs.other.read(task(ids.at(-1)!)))?.revision).toBe(revisions.at(-1));
    });

    it('keeps what is written as it was, whatever becomes of the object', async () => {
      const id = freshId();
      const metadata = { list: [1, 2, 3] };
      await here.dispatch(taskMachine, id, { ...create, metadata }, cause);
      metadata.list.push(4);
      const [first] = await all(logs.one.history(task(id)));
      expect(first?.record.event['metadata']).toEqual({ list: [1, 2, 3] });
    });
  });

  it('contention that does not end is a CONFLICT, after which nothing has changed', async () => {
    const id = await swarm(here);
    const crowded = new Watched(logs.one);
    let others = 0;
    crowded.beforeAppend = async () => {
      await there.dispatch(swarmMachine, id, { type: 'GRANT', capabilities: [`other-${others++}`] }, cause);
    };
    const store = storeOn(crowded, { deadlineMs: 100 });
    await expect(
      store.dispatch(swarmMachine, id, { type: 'GRANT', capabilities: ['mine'] }, cause),
    ).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining(`swarm:${id}`),
    });
    expect(others).toBeGreaterThan(1);
    const last = await logs.one.read({ kind: 'swarm', id });
    expect(grantsOf(last)).not.toContain('mine');
    expect(last?.record.n).toBe(1 + others);
  });
}
