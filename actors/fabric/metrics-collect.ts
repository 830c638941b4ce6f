/** Collects the metrics of the services of a data directory, for one scrape. */
import { existsSync } from 'node:fs';
import { type NatsConnection, nuid } from '@nats-io/nats-core';
import Sqlite from 'better-sqlite3';
import { operatorId } from '../../machines/address.ts';
import { FabricError } from '../../src/errors.ts';
import { inboxPrefix, type Namespace } from '../../src/namespace.ts';
import { consumerOf } from '../witness/witness-consumers.ts';
import { readWitnessId } from '../witness/witness-id.ts';

/** How long a service may take to answer, milliseconds. */
const answerMs = 2_000;

/**
 * The metrics of the witness of this database; others may be there with databases of their own.
 * @throws FabricError UNAVAILABLE when it does not answer
 */
export async function collectMetrics(nc: NatsConnection, namespace: Namespace, witnessDb: string): Promise<string> {
  const witness = idOf(witnessDb);
  if (witness === undefined) throw new FabricError('UNAVAILABLE', `no witness has opened ${witnessDb} yet`);
  // Services answer an operator inside his own inbox only; this connection may listen there, but has another one.
  const reply = `${inboxPrefix(operatorId)}.${nuid.next()}`;
  const subscription = nc.subscribe(reply, { max: 1, timeout: answerMs });
  try {
    nc.publish(namespace.commandSubject(operatorId, consumerOf(witness), 'metrics'), '{}', { reply });
    for await (const message of subscription) {
      if (message.data.length === 0) break;
      const answer = message.json<{ ok: boolean; result?: { text: string } }>();
      if (answer.ok && answer.result) return answer.result.text;
    }
  } catch (error) {
    throw new FabricError('UNAVAILABLE', 'the witness does not say its metrics', undefined, { cause: error });
  } finally {
    subscription.unsubscribe();
  }
  throw new FabricError('UNAVAILABLE', 'the witness does not say its metrics');
}

function idOf(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const sqlite = new Sqlite(path, { readonly: true });
  try {
    return readWitnessId(sqlite);
  } finally {
    sqlite.close();
  }
}
