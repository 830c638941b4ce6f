/** The metrics of one witness, in a registry of its own. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** What is asked at the moment of a scrape. */
export interface WitnessFigures {
  /** Messages of all audited streams that are not stored yet. */
  lag(): Promise<number>;
  audited(): boolean;
}

/** What a batch that was stored says. */
export interface StoredBatch {
  /** When the servers took each message, milliseconds since 1970. */
  readonly times: readonly number[];
  /** Entries that are new; gaps count. */
  readonly entries: number;
  /** How long SQLite took, milliseconds. */
  readonly ms: number;
}

export class WitnessMetrics {
  readonly #registry = new Registry();
  readonly #lag: Histogram;
  readonly #entries: Counter;
  readonly #batch: Histogram;
  readonly #store: Histogram;
  readonly #checkpoints: Counter;

  constructor(figures: WitnessFigures) {
    const registers = [this.#registry];
    this.#lag = new Histogram({
      name: 'if_witness_lag_seconds',
      help: 'Time from when the servers took a message until it was stored in SQLite',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600],
      registers,
    });
    this.#entries = new Counter({
      name: 'if_witness_entries_total',
      help: 'Entries stored since this witness started',
      registers,
    });
    this.#batch = new Histogram({
      name: 'if_witness_batch_size',
      help: 'Messages that were stored in one transaction',
      buckets: [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000],
      registers,
    });
    this.#store = new Histogram({
      name: 'if_witness_store_seconds',
      help: 'Time that a transaction took in SQLite, until it was on disk',
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
      registers,
    });
    this.#checkpoints = new Counter({
      name: 'if_witness_checkpoints_total',
      help: 'Checkpoints signed since this witness started',
      registers,
    });
    new Gauge({
      name: 'if_witness_lag_messages',
      help: 'Messages of the audited streams that are not stored yet',
      registers,
      async collect() {
        // Where the streams cannot be asked there is no figure, and a wrong one would be worse.
        const lag = await figures.lag().catch(() => undefined);
        if (lag === undefined) this.reset();
        else this.set(lag);
      },
    });
    new Gauge({
      name: 'if_witness_unaudited',
      help: '1 while the witness cannot store what it is given, else 0',
      registers,
      collect() {
        this.set(figures.audited() ? 0 : 1);
      },
    });
  }

  stored({ times, entries, ms }: StoredBatch): void {
    const now = Date.now();
    for (const time of times) this.#lag.observe(Math.max(0, now - time) / 1_000);
    this.#entries.inc(entries);
    this.#batch.observe(times.length);
    this.#store.observe(ms / 1_000);
  }

  checkpointed(): void {
    this.#checkpoints.inc();
  }

  /** In the text format of Prometheus. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }
}
