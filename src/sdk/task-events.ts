/**
 * The events of tasks, as a swarm may subscribe to them. Delivery is at most once: whoever decides by them alone would
 * miss what happened while the connection was away, so they only say when to look.
 */
import type { FabricClient } from '../bus/client.ts';
import type { Namespace } from '../namespace.ts';

export interface TaskEvent {
  readonly task_id: string;
  readonly task_type: string;
  /** The state after the event. */
  readonly state: string;
  /** The type of the event, such as `CLAIM`. */
  readonly event: string;
  readonly owner: string | null;
  readonly priority: number;
  /** The stream sequence; grows with every transition. */
  readonly revision: number;
}

export interface TaskEvents {
  /** Resolves when the server has the subscription. */
  readonly ready: Promise<void>;
  close(): void;
}

/** Calls `onEvent` for every transition of one task, or of all. */
export function watchTasks(
  client: FabricClient,
  namespace: Namespace,
  onEvent: (event: TaskEvent) => void,
  taskId = '>',
): TaskEvents {
  const prefix = namespace.eventSubject({ kind: 'task', id: '' });
  const subscription = client.connection.subscribe(prefix + taskId, {
    callback: (error, { subject, headers }) => {
      if (error || !headers) return;
      onEvent({
        task_id: subject.slice(prefix.length),
        task_type: headers.get('IF-Type'),
        state: headers.get('IF-State'),
        event: headers.get('IF-Event'),
        owner: headers.get('IF-Owner') || null,
        priority: Number(headers.get('IF-Priority')),
        revision: Number(headers.get('Nats-Sequence')),
      });
    },
  });
  const ready = client.connection.flush();
  // Whoever does not wait for it learns of a lost connection from the next request.
  ready.catch(() => {});
  return { ready, close: () => subscription.unsubscribe() };
}
