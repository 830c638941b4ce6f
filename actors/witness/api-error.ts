/** Errors of the JetStream API by their code. */
import { JetStreamApiError } from '@nats-io/jetstream';

export function isApiError(error: unknown, code: number): boolean {
  return error instanceof JetStreamApiError && error.code === code;
}
