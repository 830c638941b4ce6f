/**
 * The names that a fabric uses on a NATS cluster. Several fabrics share one cluster under different namespaces; subjects
 * use the namespace in lower case.
 */
import type { ActorRef } from '../machines/address.ts';
import { FabricError } from './errors.ts';

const pattern = /^[A-Z][A-Z0-9_]{0,15}$/;

export class Namespace {
  readonly name: string;
  /** The first token of all subjects. */
  readonly root: string;

  /** @throws FabricError INVALID_REQUEST when the name is not `^[A-Z][A-Z0-9_]{0,15}$`. */
  constructor(name = 'IF') {
    if (!pattern.test(name)) {
      throw new FabricError(
        'INVALID_REQUEST',
        `the namespace ${JSON.stringify(name)} is not valid: use a capital letter, then up to 15 capitals, digits or _`,
      );
    }
    this.name = name;
    this.root = name.toLowerCase();
  }

  /** Bucket of the actors' records, and its stream. */
  get actorsBucket(): string {
    return `${this.name}_actors`;
  }
  get actorsStream(): string {
    return `KV_${this.actorsBucket}`;
  }
  /** Bucket of the event bus' general key space, and its stream. */
  get busBucket(): string {
    return `${this.name}_bus`;
  }
  get busStream(): string {
    return `KV_${this.busBucket}`;
  }
  get journalStream(): string {
    return `${this.name}_journal`;
  }
  get timersStream(): string {
    return `${this.name}_timers`;
  }
  get inboxStream(): string {
    return `${this.name}_inbox`;
  }

  /** The subject under which an actor's records are stored. */
  actorSubject(ref: ActorRef): string {
    return `$KV.${this.actorsBucket}.${ref.kind}.${ref.id}`;
  }
  /** The subject on which an actor's records are republished. */
  eventSubject(ref: ActorRef): string {
    return `${this.root}.event.${ref.kind}.${ref.id}`;
  }
  commandSubject(caller: string, service: string, op: string): string {
    return `${this.root}.command.${caller}.${service}.${op}`;
  }
  /** All requests to one service, whoever sends them. */
  serviceSubject(service: string): string {
    return `${this.root}.command.*.${service}.*`;
  }
  mailboxSubject(swarmId: string, type: string): string {
    return `${this.root}.inbox.${swarmId}.${type}`;
  }
  mailboxConsumer(swarmId: string): string {
    return `inbox-${swarmId}`;
  }
  timerSubject(what: string, id: string): string {
    return `${this.root}.timer.${what}.${id}`;
  }
  dueSubject(what: string, id: string): string {
    return `${this.root}.due.${what}.${id}`;
  }
  journalSubject(by: string): string {
    return `${this.root}.journal.${by}`;
  }

  /** The audited streams: label in chain names and the stream's own name. */
  get auditedStreams(): ReadonlyArray<{ label: string; stream: string }> {
    return [
      { label: this.actorsBucket, stream: this.actorsStream },
      { label: this.busBucket, stream: this.busStream },
      { label: this.journalStream, stream: this.journalStream },
    ];
  }
}

/** The prefix of the reply subjects of a caller; services answer nowhere else. */
export function inboxPrefix(callerId: string): string {
  return `_INBOX_${callerId}`;
}
