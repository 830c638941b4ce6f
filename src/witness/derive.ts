/**
 * The columns that say what a payload says. The one rule is used when a message becomes a row and again when the row is
 * verified, so that a row whose columns disagree with its payload is found even if its hash is right.
 */
import type { Json } from '../../machines/record.ts';
import type { Outline } from '../data/key-shapes.ts';
import type { ChainName } from './chain-name.ts';
import { isEpochRecord } from './epoch.ts';

/** The columns of a row that come from its payload. */
export interface Derived {
  readonly component: string;
  readonly event: string;
  readonly swarm_id: string | null;
  readonly kind: string | null;
  readonly actor_id: string | null;
  readonly n: number | null;
  readonly trace_id: string | null;
  readonly tokens_in: number | null;
  readonly tokens_out: number | null;
  readonly cost_usd: number | null;
  readonly model: string | null;
}

type JsonObject = { readonly [key: string]: Json };

const costOutline = { cost_usd: true, tokens_in: true, tokens_out: true, model: true } as const;

/** All that `derive` looks at in a record or journal entry, but for the first message of a stream. */
export const derivedOutline: Outline = {
  kind: true,
  id: true,
  n: true,
  by: true,
  trace_id: true,
  component: true,
  event: { type: true, model: true, cost: costOutline },
  model: true,
  cost: costOutline,
};

const components = new Map([
  ['task', 'IF.coordinator'],
  ['blocker', 'IF.coordinator'],
  ['semaphore', 'IF.coordinator'],
  ['swarm', 'IF.governor'],
  ['approval', 'IF.governor'],
  ['fleet', 'IF.governor'],
  ['policy', 'IF.governor'],
  ['execution', 'IF.executor'],
  ['request', 'IF.proxy'],
  ['service', 'IF.supervisor'],
  ['epoch', 'IF.fabric'],
]);

/** The kind of an actor whose component is not known is filed under the fabric itself. */
export function componentOf(kind: string): string {
  return components.get(kind) ?? 'IF.fabric';
}

/** The columns of a payload; undefined when it is not one of the stream's. */
export function derive(chain: ChainName, seq: number, payload: Json): Derived | undefined {
  if (!isObject(payload)) return undefined;
  if (chain.stream === 'actors' || (seq === 1 && isEpochRecord(payload))) return fromRecord(payload);
  return chain.stream === 'journal' ? fromJournal(payload) : fromBus(payload);
}

function fromRecord(record: JsonObject): Derived | undefined {
  const { kind, id, n, event, by, trace_id } = record;
  if (!isText(kind) || !isText(id) || !isCount(n) || !isText(by) || !isText(trace_id)) return undefined;
  if (event === undefined || !isObject(event) || !isText(event['type'])) return undefined;
  return {
    component: componentOf(kind),
    event: event['type'],
    swarm_id: swarmOf(kind, id, by),
    kind,
    actor_id: id,
    n,
    trace_id,
    ...costOf(event),
  };
}

/** Ids of executions and requests begin with the swarm's: `<swarm_id>.<trace_id>`. */
function swarmOf(kind: string, id: string, by: string): string {
  if (kind === 'swarm') return id;
  if (kind !== 'execution' && kind !== 'request') return by;
  const dot = id.indexOf('.');
  return dot < 0 ? id : id.slice(0, dot);
}

function fromJournal(body: JsonObject): Derived | undefined {
  const { event, component, by } = body;
  if (!isText(event) || !isText(component) || !isText(by)) return undefined;
  return {
    component,
    event,
    swarm_id: by,
    kind: 'journal',
    actor_id: textOrNull(body['id']),
    n: null,
    trace_id: textOrNull(body['trace_id']),
    ...costOf(body),
  };
}

function fromBus(change: JsonObject): Derived | undefined {
  const { key, op } = change;
  if (!isText(key) || (op !== 'PUT' && op !== 'DELETE')) return undefined;
  return {
    component: 'IF.bus',
    event: op,
    swarm_id: textOrNull(change['by']),
    kind: 'key',
    actor_id: key,
    n: null,
    trace_id: textOrNull(change['trace_id']),
    tokens_in: null,
    tokens_out: null,
    cost_usd: null,
    model: null,
  };
}

type Cost = Pick<Derived, 'tokens_in' | 'tokens_out' | 'cost_usd' | 'model'>;

/** The cost beside or inside `cost`; values of other types are left to the payload. */
function costOf(holder: JsonObject): Cost {
  const cost = holder['cost'];
  const model = textOrNull(holder['model']);
  if (cost === undefined || !isObject(cost)) return { tokens_in: null, tokens_out: null, cost_usd: null, model };
  const usd = cost['cost_usd'];
  return {
    tokens_in: countOrNull(cost['tokens_in']),
    tokens_out: countOrNull(cost['tokens_out']),
    // SQLite keeps no negative zero.
    cost_usd: typeof usd === 'number' ? usd + 0 : null,
    model: textOrNull(cost['model']) ?? model,
  };
}

function isObject(value: Json): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: Json | undefined): value is string {
  return typeof value === 'string';
}

function isCount(value: Json | undefined): value is number {
  return Number.isSafeInteger(value);
}

function textOrNull(value: Json | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

function countOrNull(value: Json | undefined): number | null {
  return isCount(value) ? value + 0 : null;
}
