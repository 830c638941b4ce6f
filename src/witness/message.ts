/** What the witness takes in: a message as its stream stored it. */

/** A message of an audited stream. `headers` is a Map or the headers of a NATS message. */
export interface WitnessMessage {
  readonly seq: number;
  /** The time that the server gave the message, milliseconds since 1970. */
  readonly time_ms: number;
  readonly subject: string;
  readonly headers?: { get(name: string): string | undefined } | undefined;
  readonly body: Uint8Array;
}
