/** The one error class: every failure that reaches a caller carries a code of the table in `machines/codes.ts`. */
import { type Code, codes, isCode } from '../machines/codes.ts';
import type { Refusal } from '../machines/machine.ts';

export class FabricError extends Error {
  override readonly name = 'FabricError';
  readonly code: Code;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  /** `message` says what was wrong, what was received, and what to do next. */
  constructor(code: Code, message: string, details?: Readonly<Record<string, unknown>>, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }

  /** Whether the same request may succeed later, unchanged. */
  get retryable(): boolean {
    return codes[this.code].retryable;
  }

  static refused(refusal: Refusal): FabricError {
    return new FabricError(refusal.code, refusal.message, refusal.details);
  }
}

/** The error of a reply: `{code, message, retryable, details?}`. */
export interface WireError {
  code: Code;
  message: string;
  retryable: boolean;
  details?: Readonly<Record<string, unknown>>;
}

/** What is told to a caller about any thrown value. Unforeseen errors show no internals. */
export function toWireError(error: unknown): WireError {
  if (error instanceof FabricError) {
    const wire: WireError = { code: error.code, message: error.message, retryable: error.retryable };
    return error.details ? { ...wire, details: error.details } : wire;
  }
  return {
    code: 'INTERNAL',
    message: 'the service failed on this request; its log says more. Repeating the request is safe.',
    retryable: codes.INTERNAL.retryable,
  };
}

/** The error that a reply of the wire stands for. */
export function fromWireError(wire: {
  code: string;
  message: string;
  details?: Readonly<Record<string, unknown>>;
}): FabricError {
  return new FabricError(isCode(wire.code) ? wire.code : 'INTERNAL', wire.message, wire.details);
}
