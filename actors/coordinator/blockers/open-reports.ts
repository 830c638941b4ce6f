/**
 * Open blockers without a task, by what was reported, so that a report which comes again finds the one before. What is
 * found is only where to look: the log decides. Holds two short texts for each open blocker without a task.
 */
import { createHash } from 'node:crypto';
import type { BlockerContext } from '../../../machines/blocker/context.ts';
import { blockerMachine } from '../../../machines/blocker/machine.ts';
import { distinct } from '../../../machines/equality.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import { RecentRevisions } from '../recent-revisions.ts';

interface Report {
  readonly type: string;
  readonly description: string;
  readonly severity: string;
  readonly required_capabilities: readonly string[];
}

export class OpenReports {
  readonly #ids = new Map<string, string>();
  /** The ids of those of each swarm. */
  readonly #open = new Map<string, Set<string>>();
  readonly #ended = new RecentRevisions();

  /** Takes in a record, in any order. */
  apply({ record, revision }: StoredRecord): void {
    if (record.kind !== blockerMachine.kind) return;
    const blocker = record.snapshot.context as BlockerContext;
    if (blocker.task_id !== null) return;
    const key = keyOf(blocker.reported_by, { ...blocker, type: blocker.blocker_type });
    const open = this.#open.get(blocker.reported_by) ?? new Set<string>();
    if (record.snapshot.status === 'active') {
      if (this.#ended.covers(record.id, revision)) return;
      this.#ids.set(key, record.id);
      this.#open.set(blocker.reported_by, open.add(record.id));
    } else {
      if (this.#ids.get(key) === record.id) this.#ids.delete(key);
      if (open.delete(record.id) && open.size === 0) this.#open.delete(blocker.reported_by);
      this.#ended.note(record.id, revision);
    }
  }

  /** How many open blockers without a task the swarm has reported. */
  countOf(by: string): number {
    return this.#open.get(by)?.size ?? 0;
  }

  /** The id of the blocker that this report may have made before. */
  find(by: string, report: Report): string | undefined {
    return this.#ids.get(keyOf(by, report));
  }
}

function keyOf(by: string, { type, description, severity, required_capabilities }: Report): string {
  const content = [by, type, description, severity, distinct(required_capabilities).sort()];
  return createHash('sha256').update(JSON.stringify(content)).digest('base64');
}
