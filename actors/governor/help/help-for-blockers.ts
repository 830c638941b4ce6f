/**
 * What becomes of a blocker after its report: who declines or keeps silent is replaced by the next best, and a person is
 * asked when nobody is left, or nothing has come of it for too long. Timers say when; a sweep finds what they lost, what
 * was left without help, and swarms that came after the report. Any number of governors may do this at once.
 */
import type { BlockerContext, BlockerState } from '../../../machines/blocker/context.ts';
import { blockerMachine } from '../../../machines/blocker/machine.ts';
import type { Plan } from '../../../src/store/actor-store.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import type { Timer } from '../../../src/store/timers.ts';
import { helpNotices } from '../../coordinator/blockers/blocker-notices.ts';
import { toBlocker } from '../../coordinator/blockers/blocker-plan.ts';
import {
  isAwaited,
  isDue,
  nextHelp,
  openPlaces,
  type SeenBlocker,
  stuckFrom,
} from '../../coordinator/blockers/helper-choice.ts';
import { RecentRevisions } from '../../coordinator/recent-revisions.ts';
import { governorName } from '../circuits.ts';
import type { GovernorPart, GovernorParts } from '../part.ts';
import { type EscalationParts, Escalations } from './escalations.ts';

/** The time of those who were asked is over. */
export const helpTimer = 'blocker-help';
/** Nothing has come of a blocker for too long. */
export const stuckTimer = 'blocker-stuck';

/** A blocker is left to whoever changed it last for this long, milliseconds, before the sweep looks for further helpers. */
const graceMs = 1_000;
/** How often the sweep looks for further helpers for one blocker, milliseconds, and for how many blockers at a time. */
const lookEveryMs = 5_000;
const mostLooks = 200;

export type HelpParts = GovernorParts & Pick<EscalationParts, 'deliver'>;

interface OpenBlocker extends SeenBlocker {
  readonly revision: number;
  readonly stored: StoredRecord;
  /** Who was sent the call for help from here. */
  readonly called: Set<string>;
  /** For which times timers were set here. */
  readonly armed: { [what: string]: number };
  /** When the sweep looks for further helpers, milliseconds since 1970. */
  lookAt: number;
}

export class HelpForBlockers implements GovernorPart {
  readonly timers = [helpTimer, stuckTimer];
  readonly #parts: HelpParts;
  readonly #escalations: Escalations;
  readonly #open = new Map<string, OpenBlocker>();
  readonly #ended = new RecentRevisions();
  readonly #running = new Set<Promise<void>>();
  /** Before that, the swarms may not all be known. */
  #begun = false;
  #stopped = false;

  constructor(parts: HelpParts) {
    this.#parts = parts;
    this.#escalations = new Escalations(parts);
  }

  apply(stored: StoredRecord): void {
    const { record, revision } = stored;
    if (record.kind !== blockerMachine.kind) return;
    const { id, snapshot, event } = record;
    const known = this.#open.get(id);
    if (known ? known.revision >= revision : this.#ended.covers(id, revision)) return;
    if (snapshot.status !== 'active') {
      this.#open.delete(id);
      this.#ended.note(id, revision);
      this.#escalations.forget(id);
      return;
    }
    const state = snapshot.value as BlockerState;
    const context = snapshot.context as BlockerContext;
    const { armed = {}, called = new Set<string>() } = known ?? {};
    const open = { state, context, revision, stored, armed, called, lookAt: record.at + graceMs };
    this.#open.set(id, open);
    this.#arm(id, open);
    if (state === 'escalated') this.#escalations.add(stored);
    if (event.type === 'DECLINE') this.#attendSoon(id);
  }

  /** Whoever was asked in a commit of this process is told here. */
  committed(stored: StoredRecord): void {
    const { kind, event, at } = stored.record;
    if (kind !== blockerMachine.kind || event.type !== 'INVITE') return;
    const asked = event['swarm_ids'] as readonly string[];
    for (const { to, notice } of helpNotices(stored, at)) {
      if (!asked.includes(to)) continue;
      this.#open.get(stored.record.id)?.called.add(to);
      this.#parts.notify(to, 'help', notice);
    }
  }

  async due({ id }: Timer): Promise<void> {
    await this.#attend(id);
  }

  begin(): void {
    this.#begun = true;
  }

  async sweep(): Promise<void> {
    this.#escalations.tellAll();
    const { policy, swarms, clock, log } = this.#parts;
    let looks = 0;
    for (const [id, open] of [...this.#open]) {
      if (this.#stopped) return;
      // The policy may have changed since.
      this.#arm(id, open);
      const now = clock.now();
      this.#callAgain(open, now);
      let calls = isDue(open, policy.current, now);
      if (!calls && looks < mostLooks && now >= open.lookAt && this.#lacksHelp(open, now)) {
        looks++;
        open.lookAt = now + lookEveryMs;
        // Behind all others, so that each has its turn, however many there are.
        if (this.#open.get(id) === open && this.#open.delete(id)) this.#open.set(id, open);
        calls = nextHelp(open, { swarms, policy }, now).length > 0;
      }
      if (!calls) continue;
      await this.#attend(id).catch((error: unknown) => {
        log.warn({ err: error, blocker_id: id }, 'a blocker was not attended to; the next sweep tries again');
      });
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
    await this.#escalations.stop();
  }

  /** Whether more may be asked, or a person has to be. */
  #lacksHelp(open: OpenBlocker, now: number): boolean {
    return open.state === 'reported' || openPlaces(open.context, this.#parts, now) > 0;
  }

  /** Whoever asked a swarm may have ended before it told it; the same notice again changes nothing. */
  #callAgain({ stored, called }: OpenBlocker, now: number): void {
    for (const { to, notice } of helpNotices(stored, now)) {
      if (called.has(to) || now - Number(notice['at']) < graceMs) continue;
      called.add(to);
      this.#parts.notify(to, 'help', notice);
    }
  }

  /** Sets the timers; the sweep is there for those that are lost. */
  #arm(id: string, open: OpenBlocker): void {
    const { policy, clock } = this.#parts;
    const now = clock.now();
    const deadlines = open.context.helpers
      .filter((helper) => isAwaited(helper, now))
      .flatMap(({ answer_by }) => answer_by ?? []);
    if (deadlines.length > 0) this.#set(open, { what: helpTimer, id, at: Math.min(...deadlines) });
    const stuck = stuckFrom(open, policy.current);
    if (stuck !== undefined && stuck > now) this.#set(open, { what: stuckTimer, id, at: stuck });
  }

  #set({ armed }: OpenBlocker, timer: Timer): void {
    if (armed[timer.what] === timer.at) return;
    armed[timer.what] = timer.at;
    this.#parts.timers.set(timer).catch((error: unknown) => {
      this.#parts.log.warn(
        { err: error, blocker_id: timer.id, timer: timer.what },
        'the timer of a blocker was not set',
      );
    });
  }

  /** Now and in the background; a sweep does it where this fails. */
  #attendSoon(id: string): void {
    if (!this.#begun || this.#stopped) return;
    const running = this.#attend(id)
      .catch((error: unknown) => {
        this.#parts.log.warn({ err: error, blocker_id: id }, 'a blocker was not attended to; the sweep tries again');
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Does what has to happen to a blocker now, if anything. @throws FabricError UNAVAILABLE, CONFLICT */
  async #attend(id: string): Promise<void> {
    if (this.#stopped) return;
    const { store, lanes, swarms, policy } = this.#parts;
    const plan: Plan<void> = async (view) => {
      const blocker = await view.get(blockerMachine, id);
      const { value, context } = blocker.snapshot;
      const events = nextHelp({ state: value as BlockerState, context }, { swarms, policy }, view.now);
      if (events.length === 0) return { answer: undefined };
      return { send: events.map((event) => toBlocker(blocker, { ...event })), answer: () => undefined };
    };
    await lanes.run(`blocker:${id}`, async () => await store.transact({ by: governorName, trace_id: id }, plan));
  }
}
