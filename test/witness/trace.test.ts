import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { readTrace, stateOf, stepsOf } from '../../src/witness/query/trace.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { actorMessage, actors, journalMessage, never, startedAt, taskRecord } from './messages.ts';

let dir: TempDir;
let witness: WitnessDatabase;
beforeEach(async () => {
  dir = await tempDir();
  witness = WitnessDatabase.open(join(dir.path, 'witness.db'));
});
afterEach(async () => {
  witness.close();
  await dir.remove();
});

const mine = { trace_id: 'mine' };
const swarm = {
  status: 'active' as const,
  value: { registration: 'registered', liveness: 'online', circuit: 'closed' },
  context: {},
};

/** A task and the swarm that did it, an entry of the journal between them, and another trace in the same milliseconds. */
function write(): void {
  witness.appendBatch(
    actors,
    [
      actorMessage(1, taskRecord(1, mine), startedAt),
      actorMessage(2, taskRecord(2), startedAt),
      actorMessage(3, taskRecord(4, mine), startedAt + 1_500),
      actorMessage(4, taskRecord(1, { ...mine, kind: 'swarm', id: 'alpha', snapshot: swarm }), startedAt + 1_500),
    ],
    never,
  );
  const note = { ...journalMessage(1, { event: 'note', component: 'mine', by: 'alpha', id: 'j-1', ...mine }) };
  witness.appendBatch('IF_journal/1', [{ ...note, time_ms: startedAt + 700 }], never);
}

describe('a trace', () => {
  it('is a timeline across actors and streams with the time since its first entry', async () => {
    write();
    const page = await readTrace(witness.sqlite, mine);
    expect(page).toMatchObject({ trace_id: 'mine', started_at: startedAt, cursor: null });
    expect(stepsOf(page).map(({ timestamp: _, ...step }) => step)).toEqual([
      { since_start_ms: 0, actor: 'task:t-0', event: 'CREATE', state: 'claimed', swarm_id: 'swarm-1', cost_usd: null },
      { since_start_ms: 700, actor: 'mine', event: 'note', state: null, swarm_id: 'alpha', cost_usd: null },
      {
        since_start_ms: 1_500,
        actor: 'task:t-0',
        event: 'COMPLETE',
        state: 'claimed',
        swarm_id: 'swarm-1',
        cost_usd: 0.25,
      },
      {
        since_start_ms: 1_500,
        actor: 'swarm:alpha',
        event: 'CREATE',
        state: 'registered.online.closed',
        swarm_id: 'alpha',
        cost_usd: null,
      },
    ]);
  });

  it('tells times since its beginning on every page', async () => {
    write();
    const first = await readTrace(witness.sqlite, { ...mine, limit: 2 });
    const second = await readTrace(witness.sqlite, { ...mine, limit: 2, cursor: first.cursor ?? '' });
    expect(second.cursor).toBeNull();
    expect(stepsOf(second).map(({ since_start_ms }) => since_start_ms)).toEqual([1_500, 1_500]);
  });

  it('that is not known has no entries', async () => {
    write();
    expect(await readTrace(witness.sqlite, { trace_id: 'other' })).toEqual({
      trace_id: 'other',
      started_at: null,
      entries: [],
      cursor: null,
    });
  });
});

describe('the state of an entry', () => {
  it.each([
    ['no record', 'text'],
    ['a snapshot without a state', { snapshot: { context: {} } }],
    ['a state that is a number', { snapshot: { value: 7 } }],
    ['a state that is a list', { snapshot: { value: ['claimed'] } }],
    ['a state from the prototype', JSON.parse('{"__proto__":{"snapshot":{"value":"claimed"}}}')],
  ])('is none for %s', (_, payload) => {
    expect(stateOf({ kind: 'task', payload })).toBeNull();
  });
});
