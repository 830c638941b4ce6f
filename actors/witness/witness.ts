/**
 * The witness: persists every message of the audited streams, answers `witness.*`, and lets the log be trimmed behind
 * what it has stored.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { Responder } from '../../src/bus/responder.ts';
import { readEpoch } from '../../src/store/epoch.ts';
import { type EpochWatch, requireEpoch, watchEpoch } from '../../src/store/epoch-watch.ts';
import { Journal } from '../../src/store/journal.ts';
import { formatChain } from '../../src/witness/chain-name.ts';
import { WitnessDatabase } from '../../src/witness/database.ts';
import type { RunningService, ServiceContext } from '../service.ts';
import { Retention } from './retention.ts';
import { Tail } from './tail.ts';
import { witnessRequests } from './witness-requests.ts';

/** Where the witness database of a data directory is. */
export function witnessPath(dataDir: string): string {
  return join(dataDir, 'witness.db');
}

/** How long a stop waits for what is in the streams to be stored, milliseconds. */
const drainMs = 5_000;

export class Witness implements RunningService {
  readonly failed: Promise<never>;
  readonly #context: ServiceContext;
  readonly #database: WitnessDatabase;
  readonly #tails: readonly Tail[];
  readonly #responder: Responder;
  readonly #retention: Retention;
  readonly #epoch: EpochWatch;
  #stopping: Promise<void> | undefined;

  private constructor(
    context: ServiceContext,
    parts: {
      database: WitnessDatabase;
      tails: readonly Tail[];
      responder: Responder;
      retention: Retention;
      epoch: EpochWatch;
    },
  ) {
    this.#context = context;
    this.#database = parts.database;
    this.#tails = parts.tails;
    this.#responder = parts.responder;
    this.#retention = parts.retention;
    this.#epoch = parts.epoch;
    const closed = context.nc.closed().then((error): never => {
      throw new Error('the connection to the cluster was closed', { cause: error });
    });
    this.failed = Promise.race([closed, this.#epoch.failed, ...this.#tails.map((tail) => tail.failed)]);
    this.failed.catch(() => {});
  }

  /** @throws FabricError UNAVAILABLE when the database or the streams cannot be read */
  static async start(context: ServiceContext): Promise<Witness> {
    const { nc, namespace, log, settings } = context;
    if (!existsSync(settings.data_dir)) mkdirSync(settings.data_dir, { recursive: true, mode: 0o700 });
    const epochRecord = await readEpoch(nc, namespace);
    const { epoch } = epochRecord;
    const checkEpoch = async () => await requireEpoch(nc, namespace, epochRecord);
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    const database = WitnessDatabase.open(witnessPath(settings.data_dir));
    const tails: Tail[] = [];
    try {
      await Promise.all(
        namespace.auditedStreams.map(async ({ label, stream }) => {
          tails.push(
            await Tail.start({ nc, jsm, database, stream, chain: formatChain(label, epoch), checkEpoch, log }),
          );
        }),
      );
      const actors = tails.find(({ stream }) => stream === namespace.actorsStream);
      const operations = witnessRequests(database, new Journal(nc, namespace));
      const responder = new Responder({ nc, namespace, service: 'witness', operations, log });
      const retention = new Retention({
        nc,
        jsm,
        namespace,
        log,
        archiveAfterMs: settings.archive_after_ms,
        stored: () => actors?.position ?? 0,
      });
      await nc.flush();
      return new Witness(context, {
        database,
        tails,
        responder,
        retention,
        epoch: watchEpoch(nc, namespace, epochRecord),
      });
    } catch (error) {
      for (const tail of tails) await tail.stop();
      database.close();
      throw error;
    }
  }

  /** Answers what was taken on, stores what is in the streams, and closes the database. */
  async stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    await this.#stopping;
  }

  async #stop(): Promise<void> {
    await this.#responder.drain();
    await this.#retention.stop();
    await this.#epoch.stop();
    const { log } = this.#context;
    for (const tail of this.#tails) {
      const complete = await tail.caughtUp(drainMs).catch(() => false);
      if (!complete)
        log.warn(
          { position: tail.position },
          'the witness stopped before it had everything; it goes on from here at its next start',
        );
      await tail.stop();
    }
    this.#database.close();
  }
}
