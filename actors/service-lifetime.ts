/** How long a service runs: until one of its parts fails, or its connection ends, or it is stopped, part by part. */
import type { NatsConnection } from '@nats-io/nats-core';
import type { RunningService } from './service.ts';

export class ServiceLifetime implements RunningService {
  readonly failed: Promise<never>;
  #fail: (error: unknown) => void = () => {};
  /** What ends the parts, in the order in which they end. */
  #releases: ReadonlyArray<() => unknown> = [];

  constructor(nc: Pick<NatsConnection, 'closed'>) {
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    // Whoever supervises looks at it; nobody else has to.
    this.failed.catch(() => {});
    void nc
      .closed()
      .then((error) => this.#fail(new Error('the connection to the cluster was closed', { cause: error })));
  }

  /** The service fails when this part does. */
  restsOn(part: { readonly failed: Promise<never> }): void {
    part.failed.catch((error: unknown) => this.#fail(error));
  }

  /** What `stop` does, in this order. */
  endsBy(releases: ReadonlyArray<() => unknown>): void {
    this.#releases = releases;
  }

  async stop(): Promise<void> {
    const releases = this.#releases;
    this.#releases = [];
    for (const release of releases) await release();
  }
}
