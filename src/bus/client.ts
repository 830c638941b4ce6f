/**
 * Requests to services, as any client makes them. A request that met no service, or whose answer was lost, is sent again
 * until its time is up: the fabric's operations are idempotent by content. The two that are not, `task.next` and
 * `governor.track_cost`, are sent again only when no service has seen them; whoever does not get the answer has to find
 * out what became of it.
 */
import { headers, type NatsConnection } from '@nats-io/nats-core';
import { type Backoff, backOff } from '../backoff.ts';
import { contentTypes, type Encoding, encodeBody, encodingOf, unpackBytes } from '../data/codec.ts';
import { FabricError, fromWireError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import { isClosed, isUndelivered } from './jetstream-answer.ts';

export interface ClientOptions {
  readonly nc: NatsConnection;
  readonly namespace: Namespace;
  /** The swarm id of the credentials, or `operator`. */
  readonly callerId: string;
  readonly encoding?: Encoding;
  /** How long a request may take in all, milliseconds. Default 30,000. */
  readonly timeoutMs?: number;
  /** How long to wait for one answer before asking again, milliseconds. Default 5,000. */
  readonly attemptTimeoutMs?: number;
}

type Reply =
  | { readonly ok: true; readonly result: unknown }
  | {
      readonly ok: false;
      readonly error: {
        readonly code: string;
        readonly message: string;
        readonly details?: Readonly<Record<string, unknown>>;
      };
    };

const betweenTries: Backoff = { first: 20, max: 500 };
/** Codes of the fabric after which the same request is sent again by itself. */
const transient: ReadonlySet<string> = new Set(['UNAVAILABLE', 'TIMEOUT']);
/** They take another task, or charge again, each time; and the answer may be as long in coming as the request may wait. */
const notIdempotent: ReadonlySet<string> = new Set(['task.next', 'governor.track_cost']);

export class FabricClient {
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  get callerId(): string {
    return this.#options.callerId;
  }

  get namespace(): Namespace {
    return this.#options.namespace;
  }

  get connection(): NatsConnection {
    return this.#options.nc;
  }

  /**
   * Calls `<service>.<op>` and answers with its result.
   * @throws FabricError the service's refusal; UNAVAILABLE or TIMEOUT when no service answered in time
   */
  async request<Result>(
    service: string,
    op: string,
    body: Readonly<Record<string, unknown>> = {},
    options: { timeoutMs?: number } = {},
  ): Promise<Result> {
    const deadline = Date.now() + (options.timeoutMs ?? this.#options.timeoutMs ?? 30_000);
    const once = notIdempotent.has(`${service}.${op}`);
    const { attemptTimeoutMs = 5_000 } = this.#options;
    for (let attempt = 0; ; attempt++) {
      const left = deadline - Date.now();
      try {
        const timeout = Math.max(50, once ? left : Math.min(attemptTimeoutMs, left));
        return (await this.#ask(service, op, body, timeout)) as Result;
      } catch (error) {
        if (!(error instanceof FabricError && transient.has(error.code)) || Date.now() >= deadline) throw error;
        if (once && !isUndelivered(error.cause)) throw error;
      }
      await backOff(betweenTries, attempt);
    }
  }

  async #ask(service: string, op: string, body: Readonly<Record<string, unknown>>, timeout: number): Promise<unknown> {
    const { nc, namespace, callerId, encoding = 'msgpack' } = this.#options;
    const h = headers();
    h.set('Content-Type', contentTypes[encoding]);
    const subject = namespace.commandSubject(callerId, service, op);
    let reply: Reply;
    try {
      const message = await nc.request(subject, encodeBody(body, encoding), { headers: h, timeout });
      const isJson = encodingOf(message.data, message.headers?.get('Content-Type')) === 'json';
      reply = (isJson ? message.json() : unpackBytes(message.data)) as Reply;
    } catch (error) {
      throw unanswered(error, `${service}.${op}`, timeout);
    }
    if (reply.ok) return reply.result;
    throw fromWireError(reply.error);
  }
}

function unanswered(error: unknown, what: string, timeoutMs: number): FabricError {
  if (isUndelivered(error))
    return new FabricError('UNAVAILABLE', `no service answers to ${what}; is the fabric up?`, undefined, {
      cause: error,
    });
  if (isClosed(error))
    return new FabricError('INTERNAL', `the connection was closed before ${what} was answered`, undefined, {
      cause: error,
    });
  const message = error instanceof Error ? error.message : String(error);
  if (/permissions violation/i.test(message))
    return new FabricError('UNAUTHORIZED', `these credentials may not ask for ${what} under this id`, undefined, {
      cause: error,
    });
  return new FabricError(
    'TIMEOUT',
    `${what} was not answered within ${Math.round(timeoutMs)} ms (${message}); it may have taken effect, ask or repeat it`,
    undefined,
    { cause: error },
  );
}
