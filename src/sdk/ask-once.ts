/**
 * A request that is sent once, for operations that are not the same again when they are repeated: `task.next` takes
 * another task each time. Whoever does not get an answer has to find out what became of it.
 */
import { headers } from '@nats-io/nats-core';
import type { FabricClient } from '../bus/client.ts';
import { isUndelivered } from '../bus/jetstream-answer.ts';
import { contentTypes, encodeBody, unpackBytes } from '../data/codec.ts';
import { FabricError, fromWireError } from '../errors.ts';

type Reply =
  | { readonly ok: true; readonly result: unknown }
  | { readonly ok: false; readonly error: Parameters<typeof fromWireError>[0] };

/** No service has seen the request. */
export class NotDelivered extends FabricError {}

/**
 * @throws FabricError the service's refusal; TIMEOUT when no answer came within `timeoutMs` milliseconds
 * @throws NotDelivered UNAVAILABLE when there is no service, UNAUTHORIZED when the credentials do not allow the request
 */
export async function askOnce<Result>(
  { connection, namespace, callerId }: FabricClient,
  service: string,
  op: string,
  body: Readonly<Record<string, unknown>>,
  timeoutMs: number,
): Promise<Result> {
  const h = headers();
  h.set('Content-Type', contentTypes.msgpack);
  const subject = namespace.commandSubject(callerId, service, op);
  const reply = await connection
    .request(subject, encodeBody(body, 'msgpack'), { headers: h, timeout: timeoutMs })
    .then((message) => unpackBytes(message.data) as Reply)
    .catch((error: unknown) => {
      throw unanswered(error, `${service}.${op}`, timeoutMs);
    });
  if (reply.ok) return reply.result as Result;
  throw fromWireError(reply.error);
}

function unanswered(error: unknown, what: string, timeoutMs: number): FabricError {
  const message = error instanceof Error ? error.message : String(error);
  if (isUndelivered(error))
    return new NotDelivered('UNAVAILABLE', `no service answers to ${what}; is the fabric up?`, undefined, {
      cause: error,
    });
  if (/permissions violation/i.test(message))
    return new NotDelivered('UNAUTHORIZED', `these credentials may not ask for ${what} under this id`, undefined, {
      cause: error,
    });
  return new FabricError(
    'TIMEOUT',
    `${what} was not answered within ${timeoutMs} ms (${message}); it may have taken effect`,
    undefined,
    { cause: error },
  );
}
