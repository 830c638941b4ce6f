/**
 * Signs checkpoints while the witness runs: at intervals, when there are new entries, and when it ends. Each is kept in the
 * database, in `DIR/checkpoints.jsonl`, in a further file if one is configured, and is published on the bus, so that a head
 * is known where this data directory cannot be altered with it.
 */
import type { NatsConnection } from '@nats-io/nats-core';
import { FabricError } from '../../src/errors.ts';
import type { Log } from '../../src/log.ts';
import type { Namespace } from '../../src/namespace.ts';
import { Rounds } from '../../src/rounds.ts';
import { checkpointSubject } from '../../src/store/audit-notice.ts';
import { chainsOf, hasTable } from '../../src/witness/contents.ts';
import type { WitnessDatabase } from '../../src/witness/database.ts';
import { checkpointsFile } from '../../src/witness/files.ts';
import { appendCheckpoint, type Checkpoint, issueCheckpoint } from '../../src/witness/proofs/checkpoint.ts';
import { openSigningKey } from '../../src/witness/proofs/signing-key.ts';
import { chainEnd, prunedPart } from '../../src/witness/proofs/tree-tiles.ts';

export interface CheckpointsOptions {
  readonly nc: NatsConnection;
  readonly namespace: Namespace;
  readonly database: WitnessDatabase;
  readonly dataDir: string;
  /** Milliseconds; 0: only when asked. */
  readonly everyMs: number;
  /** Besides the one of the data directory. */
  readonly file: string | undefined;
  readonly onSigned: () => void;
  readonly log: Log;
}

export class Checkpoints {
  readonly #options: CheckpointsOptions;
  readonly #rounds: Rounds | undefined;
  /** The heads of all chains as they were last signed. */
  #signed: string | undefined;
  #signedAt: number | null = null;

  constructor(options: CheckpointsOptions) {
    this.#options = options;
    if (options.everyMs > 0)
      this.#rounds = new Rounds(options.everyMs, async () => void (await this.sign()), this.#failed);
  }

  /** When the last one of this process was signed, milliseconds since 1970. */
  get signedAt(): number | null {
    return this.#signedAt;
  }

  /** Signs if there is anything new. @throws FabricError, SqliteError when it cannot be signed, or not be kept */
  async sign(): Promise<Checkpoint | undefined> {
    const { nc, namespace, database, dataDir, file, onSigned } = this.#options;
    const heads = this.#heads();
    if (heads === '' || heads === (this.#signed ?? signedBefore(database))) return undefined;
    const own = checkpointsFile(dataDir);
    const checkpoint = issueCheckpoint(database.sqlite, await openSigningKey(dataDir), Date.now(), own);
    // More may have been stored since the look at the heads.
    this.#signed = headsText(checkpoint.chains.map(({ chain, seq }) => [chain, seq]));
    this.#signedAt = checkpoint.issued_at;
    onSigned();
    if (file !== undefined) await this.#append(file, checkpoint);
    if (!nc.isClosed()) nc.publish(checkpointSubject(namespace), JSON.stringify(checkpoint));
    return checkpoint;
  }

  /** Ends with a checkpoint of everything that is stored. */
  async stop(): Promise<void> {
    await this.#rounds?.stop();
    await this.sign().catch(this.#failed);
  }

  readonly #failed = (error: unknown): void => {
    const { log } = this.#options;
    if (error instanceof FabricError && error.code === 'CONFLICT')
      log.error({ err: error }, 'what is stored is not what was signed before; no checkpoint was signed');
    else log.warn({ err: error }, 'no checkpoint was signed; the next round tries again');
  };

  /** The further file must not keep the witness from going on. */
  async #append(file: string, checkpoint: Checkpoint): Promise<void> {
    try {
      await appendCheckpoint(file, this.#options.database.sqlite, checkpoint);
    } catch (error) {
      const { log } = this.#options;
      if (error instanceof FabricError && error.code === 'CONFLICT')
        log.error({ err: error, file }, 'a file holds checkpoints of another history; nothing was added to it');
      else log.warn({ err: error, file }, 'a checkpoint could not be added to a file; the next one will be');
    }
  }

  #heads(): string {
    const { sqlite } = this.#options.database;
    const lastOf = (chain: string) => chainEnd(sqlite, chain, prunedPart(sqlite, chain))?.seq ?? 0;
    return headsText(chainsOf(sqlite).map((chain) => [chain, lastOf(chain)]));
  }
}

/** The heads that the newest checkpoint in the database is of, as an earlier process left it. */
function signedBefore({ sqlite }: WitnessDatabase): string {
  if (!hasTable(sqlite, 'checkpoints')) return '';
  const rows = sqlite
    .prepare<[], { chain: string; seq: number }>('SELECT chain, max(seq) AS seq FROM checkpoints GROUP BY chain')
    .all();
  return headsText(rows.map(({ chain, seq }) => [chain, seq]));
}

function headsText(heads: ReadonlyArray<readonly [string, number]>): string {
  return heads
    .map(([chain, seq]) => `${chain}@${seq}`)
    .sort()
    .join(' ');
}
