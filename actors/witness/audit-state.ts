/**
 * Whether this witness stores what it is given, told to everyone on the bus once a second: coordinators refuse changes
 * while no witness does.
 */
import type { NatsConnection } from '@nats-io/nats-core';
import type { Log } from '../../src/log.ts';
import type { Namespace } from '../../src/namespace.ts';
import { type AuditNotice, auditSubject, noticeEveryMs } from '../../src/store/audit-notice.ts';

export interface AuditStateOptions {
  readonly nc: NatsConnection;
  readonly namespace: Namespace;
  /** Where the witness is, for people: it tells one from the other before its database is open. */
  readonly place: string;
  readonly log: Log;
}

export class AuditState {
  readonly #options: AuditStateOptions;
  readonly #subject: string;
  /** What cannot be stored, and why. */
  readonly #troubles = new Map<string, string>();
  readonly #timer: NodeJS.Timeout;
  #since = Date.now();

  constructor(options: AuditStateOptions) {
    this.#options = options;
    this.#subject = auditSubject(options.namespace);
    this.#timer = setInterval(() => this.#tell(), noticeEveryMs);
  }

  get notice(): AuditNotice {
    const [reason = null] = this.#troubles.values();
    return { witness: this.#options.place, audited: reason === null, reason, since: this.#since };
  }

  /** `what` cannot be stored for the time being. */
  failing(what: string, reason: string): void {
    const first = this.#troubles.size === 0;
    const known = this.#troubles.get(what);
    this.#troubles.set(what, reason);
    if (known !== reason)
      this.#options.log.error({ what, reason }, 'the fabric is unaudited: the witness cannot store; it tries again');
    if (!first) return;
    this.#since = Date.now();
    this.#tell();
  }

  /** `what` is stored again, or was all the time. */
  stored(what: string): void {
    if (!this.#troubles.delete(what) || this.#troubles.size > 0) return;
    this.#options.log.warn({ unaudited_ms: Date.now() - this.#since }, 'the fabric is audited again');
    this.#since = Date.now();
    this.#tell();
  }

  /** Tells nothing more. Who was told of trouble believes it until a witness says that it stores. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #tell(): void {
    const { nc } = this.#options;
    if (nc.isClosed()) return;
    try {
      nc.publish(this.#subject, JSON.stringify(this.notice));
    } catch {
      // The connection is being closed: nobody can be told.
    }
  }
}
