/** Failures that time may end although nothing about the request changes; a worker outlasts them. */
import { FabricError } from '../errors.ts';

const passing: ReadonlySet<string> = new Set(['UNAVAILABLE', 'TIMEOUT', 'INTERNAL', 'RATE_LIMITED']);

/** The fabric does not answer at present; the worker tries again. */
export interface Trouble {
  readonly type: 'trouble';
  readonly code: string;
  readonly message: string;
}

export function isPassing(error: unknown): error is FabricError {
  return error instanceof FabricError && passing.has(error.code);
}

export function troubleOf({ code, message }: FabricError): Trouble {
  return { type: 'trouble', code, message };
}
