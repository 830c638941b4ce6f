/** Queries of a large witness: the time of one page of 100 entries, per filter and combined, also deep inside by a cursor. */
import { WitnessDatabase } from '../src/witness/database.ts';
import type { QueryFilter } from '../src/witness/query/query.ts';
import { percentiles, rounded } from './measure.ts';
import { startedAt, swarmOf, taskId, traceOf } from './witness-messages.ts';

export interface QueryFigures {
  readonly filter: string;
  readonly p50_ms: number;
  readonly p99_ms: number;
}

const queries = 300;
const events = ['CREATE', 'CLAIM', 'START', 'COMPLETE'];

export function measureQueries(path: string, entries: number): QueryFigures[] {
  const witness = WitnessDatabase.open(path);
  const tasks = Math.floor(entries / 4);
  const random = randomNumbers(20_251_122);
  const task = () => random(tasks);
  const event = () => events[random(events.length)] ?? '';
  const since = () => startedAt + random(Math.floor(entries / 3));
  const hour = () => {
    const from = since();
    return { since: from, until: from + 3_600_000 };
  };
  const filters: Record<string, () => QueryFilter> = {
    none: () => ({}),
    'since, until': hour,
    swarm_id: () => ({ swarm_id: swarmOf(task()) }),
    event: () => ({ event: event() }),
    component: () => ({ component: 'IF.coordinator' }),
    trace_id: () => ({ trace_id: traceOf(task()) }),
    kind: () => ({ kind: 'task' }),
    id: () => ({ id: taskId(task()) }),
    'kind, id': () => ({ kind: 'task', id: taskId(task()) }),
    'swarm_id, event': () => ({ swarm_id: swarmOf(task()), event: event() }),
    'swarm_id, event, since, until': () => ({ swarm_id: swarmOf(task()), event: event(), ...hour() }),
    'swarm_id, component, kind, since': () => ({
      swarm_id: swarmOf(task()),
      component: 'IF.coordinator',
      kind: 'task',
      since: since(),
    }),
    'event, component, until': () => ({ event: event(), component: 'IF.coordinator', until: since() }),
    'trace_id, event': () => ({ trace_id: traceOf(task()), event: event() }),
    'swarm_id, trace_id of another': () => ({ swarm_id: 'nobody', trace_id: traceOf(task()) }),
    'component that has none, kind': () => ({ component: 'IF.none', kind: 'task' }),
    'event, component that match apart only': () => ({ event: 'CREATE', component: 'IF.executor' }),
  };
  try {
    return Object.entries(filters).map(([filter, make]) => ({ filter, ...timesOf(witness, make, random) }));
  } finally {
    witness.close();
  }
}

function timesOf(witness: WitnessDatabase, make: () => QueryFilter, random: (below: number) => number) {
  const samples: number[] = [];
  for (let at = 0; at < queries; at++) {
    const order = random(2) === 0 ? 'asc' : 'desc';
    const filter = { ...make(), order } as const;
    const first = timed(samples, () => witness.query(filter));
    if (first.cursor !== null) timed(samples, () => witness.query({ ...filter, cursor: first.cursor ?? undefined }));
  }
  const { p50, p99 } = percentiles(samples);
  return { p50_ms: rounded(p50, 3), p99_ms: rounded(p99, 3) };
}

function timed<Answer>(samples: number[], ask: () => Answer): Answer {
  const start = performance.now();
  const answer = ask();
  samples.push(performance.now() - start);
  return answer;
}

/** Whole numbers from 0, the same in each run. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}
