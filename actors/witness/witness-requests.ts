/** The requests `witness.*`. A swarm reads its own entries, an operator all. */
import { z } from 'zod';
import { isId, operatorId } from '../../machines/address.ts';
import { type Operation, operation } from '../../src/bus/operation.ts';
import { FabricError } from '../../src/errors.ts';
import type { Journal } from '../../src/store/journal.ts';
import { newId } from '../../src/store/unique-id.ts';
import type { WitnessDatabase } from '../../src/witness/database.ts';
import { cost, json, limit, name, time } from '../coordinator/fields.ts';

const id = z.string().refine(isId, { error: 'must be segments of letters, digits, _ and - joined by single dots' });
/** Component names that begin so are the fabric's own. */
const reserved = 'IF.';

/** What operators may ask of one witness, whether it shares the requests of `witness.*` with others or not. */
export interface WitnessFacts {
  readonly status: () => WitnessStatus;
  /** In the text format of Prometheus. */
  readonly metrics: () => Promise<string>;
}

export interface WitnessStatus {
  readonly id: string;
  /** `<host>:<path of its database>`. */
  readonly place: string;
  readonly audited: boolean;
  /** Why it is not audited; null when it is. */
  readonly reason: string | null;
  /** Since when, milliseconds since 1970. */
  readonly since: number;
  /** When this process last signed a checkpoint, milliseconds since 1970. */
  readonly checkpoint_at: number | null;
  readonly chains: ReadonlyArray<{ readonly chain: string; readonly stored: number }>;
}

/** The requests of one witness, under its own name `witness-<id>`, and for any of them as `witness.*`. */
export function factRequests({ status, metrics }: WitnessFacts): Readonly<Record<string, Operation>> {
  return {
    status: operation({}, async () => status(), 'operator'),
    metrics: operation({}, async () => ({ text: await metrics() }), 'operator'),
  };
}

export function witnessRequests(database: WitnessDatabase, journal: Journal): Readonly<Record<string, Operation>> {
  return {
    query: operation(
      {
        since: time.optional(),
        until: time.optional(),
        swarm_id: name.optional(),
        event: name.optional(),
        component: name.optional(),
        trace_id: name.optional(),
        kind: name.optional(),
        id: name.optional(),
        order: z.enum(['asc', 'desc'], { error: 'must be asc or desc' }).optional(),
        limit: limit.optional(),
        cursor: z.string().max(1_024).optional(),
      },
      async ({ caller, body }) => {
        if (caller === operatorId) return database.query(body);
        if (body.swarm_id !== undefined && body.swarm_id !== caller) {
          throw new FabricError(
            'UNAUTHORIZED',
            `swarm_id: ${body.swarm_id} is not the caller ${caller}; a swarm reads its own entries`,
          );
        }
        return database.query({ ...body, swarm_id: caller });
      },
    ),
    log: operation(
      {
        event: name,
        component: name,
        trace_id: id.optional(),
        payload: json.optional(),
        cost: cost.optional(),
        id: id.optional(),
      },
      async ({ caller, body: { component, cost: given, ...entry } }) => {
        if (component.startsWith(reserved)) {
          throw new FabricError(
            'INVALID_REQUEST',
            `component: ${component} begins with ${reserved}, which is the fabric's own; use another name`,
          );
        }
        const seq = await journal.write({
          id: entry.id ?? newId(),
          by: caller,
          at: Date.now(),
          event: entry.event,
          component,
          trace_id: entry.trace_id ?? newId(),
          payload: entry.payload ?? null,
          ...(given ? { cost: { ...given } as never } : {}),
        });
        return { seq };
      },
    ),
  };
}
