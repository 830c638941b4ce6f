/**
 * The witness: persists every message of the audited streams, answers `witness.*`, signs checkpoints, and lets the log be
 * trimmed behind what every witness has stored.
 */
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { Responder } from '../../src/bus/responder.ts';
import { Redactor } from '../../src/redaction.ts';
import { AuditGate } from '../../src/store/audit-gate.ts';
import { readStartedEpoch } from '../../src/store/epoch.ts';
import { type EpochWatch, requireEpoch, watchEpoch } from '../../src/store/epoch-watch.ts';
import { Journal } from '../../src/store/journal.ts';
import { formatChain } from '../../src/witness/chain-name.ts';
import { witnessPath } from '../../src/witness/files.ts';
import { PruneRounds } from '../../src/witness/prune/rounds.ts';
import type { RunningService, ServiceContext } from '../service.ts';
import { AuditState } from './audit-state.ts';
import { Checkpoints } from './checkpoints.ts';
import { type OpenedDatabase, openDatabase } from './open-database.ts';
import { Retention } from './retention.ts';
import { storageTrouble } from './storage-trouble.ts';
import { Tail } from './tail.ts';
import { consumerOf, trimLimit, witnessesOf } from './witness-consumers.ts';
import { WitnessMetrics } from './witness-metrics.ts';
import { factRequests, type WitnessFacts, witnessRequests } from './witness-requests.ts';

/** How long a stop waits for what is in the streams to be stored, milliseconds. */
const drainMs = 5_000;

interface Parts extends OpenedDatabase {
  readonly audit: AuditState;
  readonly gate: AuditGate;
  readonly tails: readonly Tail[];
  readonly checkpoints: Checkpoints;
  readonly responders: readonly Responder[];
  readonly retention: Retention;
  readonly prune: PruneRounds;
  readonly epoch: EpochWatch;
}

export class Witness implements RunningService {
  readonly failed: Promise<never>;
  /** Names its consumers, and the service `witness-<id>` that is this one alone. */
  readonly id: string;
  readonly #context: ServiceContext;
  readonly #parts: Parts;
  #stopping: Promise<void> | undefined;

  private constructor(context: ServiceContext, parts: Parts) {
    this.#context = context;
    this.#parts = parts;
    this.id = parts.witness;
    const closed = context.nc.closed().then((error): never => {
      throw new Error('the connection to the cluster was closed', { cause: error });
    });
    this.failed = Promise.race([closed, parts.epoch.failed, ...parts.tails.map((tail) => tail.failed)]);
    this.failed.catch(() => {});
  }

  /** @throws FabricError UNAVAILABLE when the database or the streams cannot be read */
  static async start(context: ServiceContext): Promise<Witness> {
    const { nc, namespace, log, settings } = context;
    const path = resolve(witnessPath(settings.data_dir));
    const epoch = await readStartedEpoch(nc, namespace);
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    const audit = new AuditState({ nc, namespace, place: `${hostname()}:${path}`, log });
    let opened: OpenedDatabase | undefined;
    const tails: Tail[] = [];
    try {
      opened = await openDatabase(path, audit, () => nc.isClosed());
      const { database, witness } = opened;
      const metrics: WitnessMetrics = new WitnessMetrics({
        lag: async () => await lagOf(jsm, tails, witness),
        audited: () => audit.notice.audited,
      });
      const checkEpoch = async () => await requireEpoch(nc, namespace, epoch);
      const onStored: WitnessMetrics['stored'] = (batch) => metrics.stored(batch);
      await Promise.all(
        namespace.auditedStreams.map(async ({ label, stream }) => {
          const chain = formatChain(label, epoch.epoch);
          const options = { nc, jsm, database, witness, stream, chain, audit, checkEpoch, onStored, log };
          tails.push(await Tail.start(options));
        }),
      );
      const checkpoints = new Checkpoints({
        nc,
        namespace,
        database,
        dataDir: settings.data_dir,
        everyMs: settings.checkpoint_every_ms,
        file: settings.checkpoint_file,
        onSigned: () => metrics.checkpointed(),
        log,
      });
      const gate = AuditGate.open(nc, namespace);
      const facts: WitnessFacts = {
        metrics: async () => await metrics.text(),
        status: () => {
          const { witness: place, ...notice } = audit.notice;
          const chains = tails.map(({ chain, position }) => ({ chain, stored: position }));
          return { id: witness, place, ...notice, checkpoint_at: checkpoints.signedAt, chains };
        },
      };
      const redactor = new Redactor(settings.redact_keys);
      const any = { ...witnessRequests(database, new Journal(nc, namespace, gate, epoch)), ...factRequests(facts) };
      const responders = [
        new Responder({ nc, namespace, service: 'witness', operations: any, redactor, log }),
        new Responder({ nc, namespace, service: consumerOf(witness), operations: factRequests(facts), redactor, log }),
      ];
      const prune = new PruneRounds({
        database,
        dataDir: settings.data_dir,
        retainMs: settings.witness_retain_ms,
        archiveAfterMs: settings.archive_after_ms,
        checkpoint: async () => await checkpoints.sign(),
        log,
      });
      const actors = tails.find(({ stream }) => stream === namespace.actorsStream);
      const retention = new Retention({
        nc,
        jsm,
        namespace,
        log,
        archiveAfterMs: settings.archive_after_ms,
        stored: async () =>
          trimLimit(await witnessesOf(jsm, namespace.actorsStream), { witness, stored: actors?.position ?? 0 }),
      });
      await nc.flush();
      const watch = watchEpoch(nc, namespace, epoch);
      const parts = { ...opened, audit, gate, tails, checkpoints, responders, retention, prune, epoch: watch };
      return new Witness(context, parts);
    } catch (error) {
      for (const tail of tails) await tail.stop();
      audit.stop();
      opened?.database.close();
      throw error;
    }
  }

  /** Answers what was taken on, stores what is in the streams, signs it, and closes the database. */
  async stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    await this.#stopping;
  }

  async #stop(): Promise<void> {
    const { responders, retention, prune, epoch, tails, checkpoints, gate, audit, database } = this.#parts;
    await Promise.all(responders.map(async (responder) => await responder.drain()));
    await retention.stop();
    await prune.stop();
    await epoch.stop();
    const { log } = this.#context;
    await Promise.all(
      tails.map(async (tail) => {
        const complete = await tail.caughtUp(drainMs).catch(() => false);
        if (!complete)
          log.warn(
            { chain: tail.chain, position: tail.position },
            'the witness stopped before it had everything; it goes on from here at its next start',
          );
        await tail.stop();
      }),
    );
    await checkpoints.stop();
    gate.close();
    audit.stop();
    try {
      database.close();
    } catch (error) {
      // It is closed, and whole; only tidying it up took space that is not there.
      if (storageTrouble(error) === undefined) throw error;
      log.warn({ err: error }, 'the witness database keeps its write-ahead log until it is opened again');
    }
  }
}

/** Messages that this witness has not stored. */
async function lagOf(jsm: JetStreamManager, tails: readonly Tail[], witness: string): Promise<number> {
  const lags = tails.map(async ({ stream }) => {
    const { num_pending, num_ack_pending } = await jsm.consumers.info(stream, consumerOf(witness));
    return num_pending + num_ack_pending;
  });
  return (await Promise.all(lags)).reduce((sum, lag) => sum + lag, 0);
}
