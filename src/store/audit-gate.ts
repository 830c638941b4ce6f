/**
 * Nothing may happen that cannot be recorded for good: while no witness is able to store what it is given, writers refuse
 * every change. A witness that says nothing is only late, and the log keeps everything for it; one that says that it
 * cannot store closes the gate until it, or another one, can.
 */
import type { NatsConnection, Subscription } from '@nats-io/nats-core';
import { FabricError } from '../errors.ts';
import type { Namespace } from '../namespace.ts';
import { type AuditNotice, auditSubject, noticeEveryMs, readNotice } from './audit-notice.ts';

/** How long what a witness said of itself holds, milliseconds. */
const holdsMs = 5 * noticeEveryMs;

export class AuditGate {
  /** The witnesses that cannot store; each stays until it says otherwise. */
  readonly #failing = new Map<string, AuditNotice>();
  /** Until when each of the others is known to store, by `now`. */
  readonly #storing = new Map<string, number>();
  readonly #now: () => number;
  #subscription: Subscription | undefined;

  /** Hears only what it is told by `hear`. `now` counts milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Listens on this connection until `close`. */
  static open(nc: NatsConnection, namespace: Namespace): AuditGate {
    const gate = new AuditGate();
    gate.#subscription = nc.subscribe(auditSubject(namespace), {
      callback: (error, message) => {
        const notice = error ? undefined : readNotice(message.string());
        if (notice) gate.hear(notice);
      },
    });
    return gate;
  }

  hear(notice: AuditNotice): void {
    if (notice.audited) {
      this.#failing.delete(notice.witness);
      this.#storing.set(notice.witness, this.#now() + holdsMs);
    } else {
      this.#storing.delete(notice.witness);
      this.#failing.set(notice.witness, notice);
    }
  }

  /** What makes the fabric unaudited; undefined when it is audited. */
  get unaudited(): AuditNotice | undefined {
    const [first] = this.#failing.values();
    if (!first) return undefined;
    for (const [witness, until] of this.#storing) {
      if (until > this.#now()) return undefined;
      this.#storing.delete(witness);
    }
    return first;
  }

  /** @throws FabricError UNAVAILABLE while the fabric is unaudited */
  requireAudited(): void {
    const notice = this.unaudited;
    if (!notice) return;
    throw new FabricError(
      'UNAVAILABLE',
      `the fabric is unaudited: ${notice.reason ?? 'the witness cannot store'}. Nothing was changed; it goes on by itself when the witness can store again, \`infrafabric doctor\` says what to do`,
      { unaudited: true, witness: notice.witness, since: notice.since },
    );
  }

  close(): void {
    this.#subscription?.unsubscribe();
  }
}
