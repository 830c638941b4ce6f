/** Failures that time may end although nothing about the request changes; a worker outlasts them. */
import { FabricError } from '../errors.ts';

const passing: ReadonlySet<string> = new Set(['UNAVAILABLE', 'TIMEOUT', 'INTERNAL', 'RATE_LIMITED']);

/** The fabric does not answer at present, or has nothing for this swarm until something changes; the worker tries again. */
export interface Trouble {
  readonly type: 'trouble';
  readonly code: string;
  readonly message: string;
}

/** Whether the same request, sent again, may be answered. */
export function isPassing(error: unknown): error is FabricError {
  return error instanceof FabricError && passing.has(error.code);
}

/** Whether it may be worth asking again later: besides what passes by itself, a circuit that someone closes, and the like. */
export function mayPass(error: unknown): error is FabricError {
  return error instanceof FabricError && error.retryable;
}

export function troubleOf({ code, message }: FabricError): Trouble {
  return { type: 'trouble', code, message };
}
