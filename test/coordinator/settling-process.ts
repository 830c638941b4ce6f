/** A process that settles dependents, as a coordinator does: store, follower, index and job on a connection of its own. */
import type { NatsConnection } from '@nats-io/nats-core';
import pino, { type Logger } from 'pino';
import { Dependents } from '../../actors/coordinator/dependencies/dependents.ts';
import { Settling } from '../../actors/coordinator/dependencies/settling.ts';
import { stateName } from '../../machines/record.ts';
import { systemClock } from '../../src/clock.ts';
import type { Namespace } from '../../src/namespace.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import { follow } from '../../src/store/follower.ts';
import { GroupCommit } from '../../src/store/group-commit.ts';
import { NatsRecordLog } from '../../src/store/nats-record-log.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';
import { newId } from '../../src/store/unique-id.ts';

export interface Settler {
  readonly store: ActorStore;
  readonly dependents: Dependents;
  readonly settling: Settling;
  stop(): Promise<void>;
}

export interface SettlerOptions {
  readonly batch?: number;
  readonly log?: Logger;
  /** Called for each commit of this process. */
  readonly onCommit?: (records: readonly StoredRecord[]) => void;
}

export async function startSettler(
  nc: NatsConnection,
  namespace: Namespace,
  { batch, log = pino({ level: 'silent' }), onCommit }: SettlerOptions = {},
): Promise<Settler> {
  const known = new Map<string, { revision: number; state: string }>();
  const dependents = new Dependents((id) => known.get(id)?.revision ?? 0);
  const seen = ({ record, revision }: StoredRecord) => {
    if (record.kind !== 'task' || (known.get(record.id)?.revision ?? 0) > revision) return;
    known.set(record.id, { revision, state: stateName(record.snapshot.value) });
    dependents.apply({ record, revision });
  };
  const store = new ActorStore({
    log: new GroupCommit(new NatsRecordLog(nc, namespace)),
    clock: systemClock,
    newId,
    onCommit(records) {
      records.forEach(seen);
      onCommit?.(records);
    },
  });
  const follower = await follow({
    nc,
    namespace,
    kinds: ['task'],
    log,
    isKnown: (_, id, revision) => (known.get(id)?.revision ?? 0) >= revision,
    onRecord(stored) {
      seen(stored);
      store.learn(stored);
    },
  });
  const settling = new Settling({
    store,
    dependents,
    follower,
    stateOf: (id) => known.get(id)?.state,
    log,
    ...(batch === undefined ? {} : { batch }),
  });
  return {
    store,
    dependents,
    settling,
    async stop() {
      await settling.stop();
      await follower.stop();
    },
  };
}
