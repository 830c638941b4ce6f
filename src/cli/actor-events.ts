/**
 * The events of actors as they happen, in the order of the log. An operator follows the log itself, without a gap also
 * when a server is lost; a swarm is sent what it may see, for as long as its connection lasts.
 */
import { DeliverPolicy, jetstream } from '@nats-io/jetstream';
import type { Subscription } from '@nats-io/nats-core';
import { type ActorRecord, stateName } from '../../machines/record.ts';
import { FabricError } from '../errors.ts';
import { readEpoch } from '../store/epoch.ts';
import { watchEpoch } from '../store/epoch-watch.ts';
import { recordFrom } from '../store/record-message.ts';
import type { FabricSession } from './fabric-session.ts';

export interface EventFilter {
  readonly kind?: string | undefined;
  readonly id?: string | undefined;
}

/** One transition, as commands show it. `seq` is its place in the log, `at` milliseconds since 1970. */
export interface ShownEvent {
  seq: number;
  at: number;
  kind: string;
  id: string;
  n: number;
  event: string;
  state: string;
  by: string;
  trace_id: string;
}

export function shownEvent(seq: number, record: ActorRecord): ShownEvent {
  const { at, kind, id, n, event, snapshot, by, trace_id } = record;
  return { seq, at, kind, id, n, event: event.type, state: stateName(snapshot.value), by, trace_id };
}

export interface EventSink {
  readonly onEvent: (seq: number, record: ActorRecord) => void;
  /** From now on nothing is missed. */
  readonly onReady: () => void;
  /** Something for people about the connection. */
  readonly note: (line: string) => void;
}

/**
 * Never ends by itself. @throws FabricError UNAUTHORIZED for kinds that a swarm may not see, UNAVAILABLE when the connection
 * has ended or the log is another one, after all nodes lost their memory
 */
export async function followEvents(session: FabricSession, filter: EventFilter, sink: EventSink): Promise<never> {
  void noteConnection(session, sink);
  if (session.isOperator) await followLog(session, filter, sink);
  else await followOwn(session, filter, sink);
  throw new FabricError('UNAVAILABLE', 'the connection to the fabric has ended; start the command again');
}

async function noteConnection({ client }: FabricSession, { note }: EventSink): Promise<void> {
  for await (const { type } of client.connection.status()) {
    if (type === 'disconnect') note('the connection is lost; trying to get it back');
    if (type === 'reconnect') note('connected again');
  }
}

async function followLog(
  session: FabricSession,
  { kind = '*', id = '>' }: EventFilter,
  sink: EventSink,
): Promise<void> {
  const { client, namespace } = session;
  const nc = client.connection;
  const epoch = watchEpoch(nc, namespace, await readEpoch(nc, namespace));
  const consumer = await jetstream(nc).consumers.get(namespace.actorsStream, {
    filter_subjects: `$KV.${namespace.actorsBucket}.${kind}.${id}`,
    deliver_policy: DeliverPolicy.New,
  });
  const messages = await consumer.consume({ max_messages: 500 });
  sink.onReady();
  const loop = async () => {
    for await (const message of messages) sink.onEvent(message.seq, recordFrom(message.data));
  };
  try {
    await Promise.race([loop(), epoch.failed]);
  } finally {
    messages.stop();
    await epoch.stop();
  }
}

async function followOwn(session: FabricSession, filter: EventFilter, sink: EventSink): Promise<void> {
  const { client, namespace } = session;
  const nc = client.connection;
  const events = `${namespace.root}.event`;
  const own = client.callerId;
  const subjects: Readonly<Record<string, string>> = {
    task: `${events}.task.${filter.id ?? '>'}`,
    blocker: `${events}.blocker.${filter.id ?? '>'}`,
    swarm: `${events}.swarm.${filter.id ?? own}`,
    execution: `${events}.execution.${filter.id ?? `${own}.>`}`,
    request: `${events}.request.${filter.id ?? `${own}.>`}`,
  };
  const kinds = filter.kind === undefined ? Object.keys(subjects) : [filter.kind];
  await new Promise<void>((resolve, reject) => {
    const subscriptions: Subscription[] = kinds.map((kind) =>
      nc.subscribe(subjects[kind] ?? `${events}.${kind}.>`, {
        callback: (error, message) => {
          if (error)
            reject(
              new FabricError('UNAUTHORIZED', `${own} may not follow ${kind} events: ${error.message}`, undefined, {
                cause: error,
              }),
            );
          else sink.onEvent(Number(message.headers?.get('Nats-Sequence') ?? 0), recordFrom(message.data));
        },
      }),
    );
    nc.flush().then(sink.onReady, reject);
    void nc.closed().then(() => resolve());
    void Promise.all(subscriptions.map(async (subscription) => await subscription.closed)).then(() => resolve());
  });
}
