/**
 * Requests that come twice: a client that did not get its answer asks again. Where the last transition of the task is
 * the very one that is asked for, it has happened, and the answer is the task.
 */
import { sameJson } from '../../../machines/equality.ts';
import type { Json, RecordedEvent } from '../../../machines/record.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';

export function isRepeated(last: StoredRecord | undefined, asked: Readonly<Record<string, unknown>>): boolean {
  const event: RecordedEvent | undefined = last?.record.event;
  return (
    event !== undefined &&
    Object.entries(asked).every(([field, value]) => sameJson(event[field] as Json, value as Json))
  );
}
