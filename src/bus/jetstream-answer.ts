/**
 * What JetStream answers to a publish or an API request, read from the raw reply: the client library's own `publish`
 * hides the difference between a refusal and an unknown outcome, on which the store depends.
 */
import {
  ClosedConnectionError,
  DrainingConnectionError,
  type Msg,
  NoRespondersError,
  RequestError,
} from '@nats-io/nats-core';

/** Error codes of the JetStream API that decide what the store does next. */
export const jsCode = {
  wrongLastSequence: 10071,
  /** Another write of the same key is in flight: not proof of a conflict. */
  wrongLastSequenceInFlight: 10164,
  /** A write with this message id is in flight: how it ends is not known yet. */
  duplicateInProcess: 10158,
  /** The revision of the key cannot be told at the moment. */
  lastSequenceNotReady: 10163,
  /** The server takes in no more at the moment; the write was dropped. */
  tooManyRequests: 10167,
  /** Part of the batch went to another leader, or was cut off; nothing of it was applied. */
  batchIncomplete: 10176,
  /** A message id of the batch is known: the batch was applied before. */
  batchDuplicateId: 10201,
  batchTooManyInFlight: 10210,
  /** The batch has more messages than this server takes in one. */
  batchTooLarge: 10199,
  insufficientResources: 10023,
  accountLimit: 10002,
  storeFull: 10077,
  temporarilyUnavailable: 10008,
  messageNotFound: 10037,
  streamNotFound: 10059,
  consumerNotFound: 10014,
} as const;

export interface ApiError {
  readonly code: number;
  readonly err_code: number;
  readonly description: string;
}

export interface PublishAnswer {
  readonly stream?: string;
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: ApiError;
}

/** The JSON body of a reply of JetStream. */
export function answerOf<T extends { error?: ApiError }>(message: Msg): T {
  return message.json<T>();
}

/** Whether the request reached no server that could have acted on it. */
export function isUndelivered(error: unknown): boolean {
  if (error instanceof NoRespondersError) return true;
  return error instanceof RequestError && error.isNoResponders();
}

/** Whether this connection will never work again. */
export function isClosed(error: unknown): boolean {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return [error, cause].some((e) => e instanceof ClosedConnectionError || e instanceof DrainingConnectionError);
}
