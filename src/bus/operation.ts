/**
 * An operation of a service: the schema of its request and what it does. Unknown fields are refused, and secrets are
 * redacted before the request is looked at, so that not even a refusal shows them.
 */
import { z } from 'zod';
import type { Json } from '../../machines/record.ts';
import { FabricError } from '../errors.ts';
import { isMarked, Redactor, redacted } from '../redaction.ts';

/** One request that has passed the edge: who asks is what the bus authenticated, the body is what the schema admits. */
export interface Request<Body> {
  /** A swarm id, or `operator`. */
  readonly caller: string;
  readonly body: Body;
}

export interface Operation {
  /**
   * Answers a request whose body is decoded but not yet checked. Without a redactor only what is marked as a secret is
   * redacted. @throws FabricError
   */
  run(caller: string, body: Record<string, unknown>, redactor?: Redactor): Promise<unknown>;
  /** Its requests may wait for long, and do not count as work in flight: it limits by itself how many there are. */
  readonly parks?: boolean;
}

/** Who may call an operation: any swarm and the operator, or the operator only. */
export type Audience = 'swarm' | 'operator';

export function operation<Shape extends z.ZodRawShape>(
  shape: Shape,
  handle: (request: Request<z.output<z.ZodObject<Shape, z.core.$strict>>>) => Promise<unknown>,
  options: Audience | { readonly audience?: Audience; readonly parks?: boolean } = 'swarm',
): Operation {
  const schema = z.strictObject(shape);
  const { audience = 'swarm', parks = false } = typeof options === 'string' ? { audience: options } : options;
  return {
    parks,
    async run(caller, body, redactor = new Redactor([])) {
      if (audience === 'operator' && caller !== 'operator') {
        throw new FabricError('UNAUTHORIZED', `${caller} may not do this: it is for operators`);
      }
      const parsed = schema.safeParse(withoutSecrets(body as { [key: string]: Json }, shape, redactor));
      if (!parsed.success) throw invalidRequest(parsed.error);
      return await handle({ caller, body: parsed.data });
    },
  };
}

/** Fields that a schema names are the request's own, such as the token of an ownership; all else is redacted by name. */
function withoutSecrets(
  fields: { readonly [key: string]: Json },
  shape: z.ZodRawShape,
  redactor: Redactor,
): { [key: string]: Json } {
  const entries = Object.entries(fields).map(([key, value]): [string, Json] => {
    const named = Object.hasOwn(shape, key) ? namedFields(shape[key]!) : undefined;
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (!named || !isObject) return [key, redactor.redact(value)];
    return [key, isMarked(value) ? redacted : withoutSecrets(value, named, redactor)];
  });
  return Object.fromEntries(entries);
}

/** The fields that a schema has for objects; undefined when it does not name any. */
function namedFields(schema: z.core.$ZodType): z.ZodRawShape | undefined {
  if (schema instanceof z.ZodOptional) return namedFields(schema.unwrap());
  return schema instanceof z.ZodObject ? schema.shape : undefined;
}

/** The first finding of a schema as an error that names the field, what was expected, and what came. */
export function invalidRequest(error: z.ZodError): FabricError {
  const issue = error.issues[0]!;
  const path = issue.path.map(String).join('.');
  if (issue.code === 'unrecognized_keys') {
    const where = path === '' ? '' : ` in ${path}`;
    const keys = issue.keys.slice(0, 5).map((key) => JSON.stringify(key.slice(0, 80)));
    return new FabricError('INVALID_REQUEST', `unknown field ${keys.join(', ')}${where}; leave it out`, {
      field: issue.keys[0]?.slice(0, 80),
    });
  }
  const field = path === '' ? 'the body' : path;
  return new FabricError('INVALID_REQUEST', `${field}: ${issue.message}`, { field });
}
