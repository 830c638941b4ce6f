/** What a supervisor needs of a service: how to start it, and how to know that it stopped. */
import type { NatsConnection } from '@nats-io/nats-core';
import type { GovernorPolicy } from '../machines/policy/values.ts';
import type { Log } from '../src/log.ts';
import type { Namespace } from '../src/namespace.ts';

/** What every service is given. */
export interface ServiceContext {
  readonly nc: NatsConnection;
  readonly namespace: Namespace;
  readonly log: Log;
  readonly settings: ServiceSettings;
}

/** The part of the configuration that services depend on; plain data, so that it can be handed to another process. */
export interface ServiceSettings {
  readonly data_dir: string;
  /** The governor's policy, until the record of it is seen. */
  readonly policy: GovernorPolicy;
  /** The folder of policy files that the governor follows; null: it follows none. */
  readonly policies_dir: string | null;
  /** The lease of a task that asks for none of its own, milliseconds. */
  readonly lease_ms: number;
  /** A swarm without a request for so long is offline, milliseconds. */
  readonly liveness_ms: number;
  /** How long terminal actors stay in the log, milliseconds. */
  readonly archive_after_ms: number;
  /** How long a mailbox message may stay unacknowledged, milliseconds. */
  readonly mailbox_max_age_ms: number;
  /** How often the witness signs a checkpoint, milliseconds; 0: only at its end and on demand. */
  readonly checkpoint_every_ms: number;
  /** Where each checkpoint is appended besides the data directory. */
  readonly checkpoint_file: string | undefined;
  /** Entries of the witness older than this are pruned, milliseconds; 0: never. */
  readonly witness_retain_ms: number;
  /** Names of fields whose values never reach a record. */
  readonly redact_keys: readonly string[];
}

export interface RunningService {
  /** Rejects with the reason when the service ends by itself. Never resolves before `stop`. */
  readonly failed: Promise<never>;
  /** Finishes what was taken on, then stops. Safe to call twice. */
  stop(): Promise<void>;
}

export type StartService = (context: ServiceContext) => Promise<RunningService>;
