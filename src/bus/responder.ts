/**
 * The one place through which every service takes requests and gives answers.
 *
 * The caller is the swarm of the subject, which the servers' permissions make true. A request is acted on only when its
 * reply subject lies inside the caller's own inbox: the servers do not check reply subjects, so a service that answered
 * anywhere would publish on behalf of its callers. Every request that is acted on gets exactly one answer.
 */
import { headers, type Msg, type NatsConnection } from '@nats-io/nats-core';
import { isSwarmId, operatorId } from '../../machines/address.ts';
import { contentTypes, decodeBody, type Encoding, encodeBody, encodingOf } from '../data/codec.ts';
import { FabricError, toWireError } from '../errors.ts';
import type { Log } from '../log.ts';
import { inboxPrefix, type Namespace } from '../namespace.ts';
import { Redactor } from '../redaction.ts';
import type { Operation } from './operation.ts';

export interface ResponderOptions {
  readonly nc: NatsConnection;
  readonly namespace: Namespace;
  readonly service: string;
  readonly operations: Readonly<Record<string, Operation>>;
  readonly log: Log;
  /** Takes secrets out of each request. Default: those that are marked as such. */
  readonly redactor?: Redactor;
  /** Whether several responders share the requests, each taking some, or each gets all. Default true. */
  readonly shared?: boolean;
  /**
   * Requests of one caller at a time; more are answered `RATE_LIMITED`. Default 512. Those of operations that park are
   * limited by the operation and do not count, here and below.
   */
  readonly maxInFlightPerCaller?: number;
  /** Requests at a time of all callers together. Default 4,096. */
  readonly maxInFlight?: number;
  /**
   * Called with the sender of each request that is acted on, before anything else; what it returns, if anything, is waited
   * for before the operation runs. It does not reject.
   */
  readonly onCaller?: (caller: string) => Promise<void> | undefined;
  /** Called with the outcome of each request, for metrics. */
  readonly onAnswer?: (op: string, code: string, ms: number) => void;
}

/** The largest request body, bytes. */
export const maxRequestBytes = 1024 * 1024;

const ignoredSaidEveryMs = 10_000;

export class Responder {
  readonly #options: ResponderOptions;
  readonly #redactor: Redactor;
  readonly #inFlight = new Map<string, number>();
  readonly #running = new Set<Promise<void>>();
  /** How many of those that run are of operations that park. */
  #parked = 0;
  readonly #subscription: ReturnType<NatsConnection['subscribe']>;
  #ignoredCount = 0;
  #ignoredSaidAt = Number.NEGATIVE_INFINITY;

  constructor(options: ResponderOptions) {
    this.#options = options;
    this.#redactor = options.redactor ?? new Redactor([]);
    this.#subscription = options.nc.subscribe(options.namespace.serviceSubject(options.service), {
      ...(options.shared === false ? {} : { queue: options.service }),
      callback: (error, message) => {
        if (error) options.log.warn({ err: error, service: options.service }, 'the subscription for requests failed');
        else this.#receive(message);
      },
    });
  }

  /** Takes no further requests and waits until those taken are answered. */
  async drain(): Promise<void> {
    if (!this.#subscription.isClosed()) await this.#subscription.drain().catch(() => {});
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #receive(message: Msg): void {
    const startedAt = performance.now();
    const [, , caller = '', , op = ''] = message.subject.split('.');
    if (!isCallerId(caller) || !mayAnswer(message, caller)) {
      this.#ignored(message.subject);
      return;
    }
    const running = this.#answer(message, caller, op, startedAt).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Said now and then: whoever sends such requests must not fill the log with them. */
  #ignored(subject: string): void {
    this.#ignoredCount++;
    const now = performance.now();
    if (now - this.#ignoredSaidAt < ignoredSaidEveryMs) return;
    this.#ignoredSaidAt = now;
    this.#options.log.warn(
      { subject, ignored: this.#ignoredCount },
      'ignored requests whose reply subject is not inside their caller’s inbox; this is the latest',
    );
    this.#ignoredCount = 0;
  }

  async #answer(message: Msg, caller: string, op: string, startedAt: number): Promise<void> {
    const encoding = encodingOf(message.data, message.headers?.get('Content-Type'));
    let reply: unknown;
    let code = 'ok';
    const leave = this.#enter(caller, op);
    try {
      reply = { ok: true, result: await this.#run(message, caller, op, encoding) };
    } catch (error) {
      const wire = toWireError(error);
      if (wire.code === 'INTERNAL')
        this.#options.log.error({ err: error, subject: message.subject }, 'a request failed');
      code = wire.code;
      reply = { ok: false, error: wire };
    }
    leave();
    this.#respond(message, reply, encoding);
    this.#options.onAnswer?.(op, code, performance.now() - startedAt);
  }

  /** Counts a request as work in flight, or as parked; answers with what ends that. */
  #enter(caller: string, op: string): () => void {
    if (this.#operation(op)?.parks) {
      this.#parked++;
      return () => this.#parked--;
    }
    this.#inFlight.set(caller, (this.#inFlight.get(caller) ?? 0) + 1);
    return () => {
      const left = (this.#inFlight.get(caller) ?? 1) - 1;
      if (left > 0) this.#inFlight.set(caller, left);
      else this.#inFlight.delete(caller);
    };
  }

  #operation(op: string): Operation | undefined {
    const { operations } = this.#options;
    return Object.hasOwn(operations, op) ? operations[op] : undefined;
  }

  async #run(message: Msg, caller: string, op: string, encoding: Encoding): Promise<unknown> {
    const { operations, service, maxInFlight = 4_096, maxInFlightPerCaller = 512 } = this.#options;
    const welcomed = this.#options.onCaller?.(caller);
    if (message.data.length > maxRequestBytes) {
      throw new FabricError(
        'PAYLOAD_TOO_LARGE',
        `the request has ${message.data.length} bytes, the limit is ${maxRequestBytes}`,
      );
    }
    const inFlight = this.#running.size - this.#parked;
    if (inFlight > maxInFlight || (this.#inFlight.get(caller) ?? 0) > maxInFlightPerCaller) {
      throw new FabricError(
        'RATE_LIMITED',
        `more than ${maxInFlightPerCaller} requests of ${caller} are in flight; wait for answers before sending more`,
      );
    }
    const operation = this.#operation(op);
    if (!operation) {
      throw new FabricError(
        'INVALID_REQUEST',
        `${service} has no operation ${JSON.stringify(op.slice(0, 80))}; it has ${Object.keys(operations).join(', ')}`,
      );
    }
    const body = decodeBody(message.data, encoding);
    if (welcomed) await welcomed;
    const request = Object.hasOwn(bodyNamesTarget, service) ? body : withoutCaller(caller, body);
    return await operation.run(caller, request, this.#redactor);
  }

  #respond(message: Msg, reply: unknown, encoding: Encoding): void {
    const h = headers();
    h.set('Content-Type', contentTypes[encoding]);
    try {
      message.respond(encodeBody(reply, encoding), { headers: h });
    } catch (error) {
      // Too large for one message, or the connection is gone; in the second case nobody can be told.
      const wire = toWireError(
        new FabricError('PAYLOAD_TOO_LARGE', 'the answer does not fit one message; ask for less at a time'),
      );
      try {
        message.respond(encodeBody({ ok: false, error: wire }, encoding), { headers: h });
      } catch {
        this.#options.log.warn({ err: error, subject: message.subject }, 'an answer could not be sent');
      }
    }
  }
}

/** Services whose requests may name another swarm: there `swarm_id` is what the request is about. */
const bodyNamesTarget: Readonly<Record<string, true>> = { swarm: true, governor: true, witness: true };

/** Everywhere else `swarm_id` is optional and must be the caller's own; operations do not see it. */
function withoutCaller(caller: string, body: Record<string, unknown>): Record<string, unknown> {
  const { swarm_id: named, ...rest } = body;
  if (named !== undefined && named !== caller) {
    // What is not an id may be anything, also a secret.
    const shown = typeof named === 'string' ? JSON.stringify(named.slice(0, 80)) : `of type ${typeof named}`;
    throw new FabricError('UNAUTHORIZED', `swarm_id: ${shown} is not the caller ${caller}; leave it out`);
  }
  return rest;
}

function isCallerId(caller: string): boolean {
  return caller === operatorId || isSwarmId(caller);
}

/** The reply-subject rule. */
export function mayAnswer(message: { reply?: string }, caller: string): boolean {
  return message.reply?.startsWith(`${inboxPrefix(caller)}.`) ?? false;
}
