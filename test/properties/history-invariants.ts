/** What must hold of the log, whatever happened: checked on every record, in the order of the commits. */
import { expect } from 'vitest';
import { losesTasks } from '../../actors/coordinator/tasks/circuit-returns.ts';
import { formatRef } from '../../machines/address.ts';
import { decide } from '../../machines/machine.ts';
import { type ActorRecord, stateName } from '../../machines/record.ts';
import { machineOf } from '../../machines/registry.ts';
import type { SwarmContext, SwarmState } from '../../machines/swarm/context.ts';
import { finalStates, ownedStates, type TaskContext } from '../../machines/task/context.ts';
import type { StoredRecord } from '../../src/store/record-log.ts';

const byOwner: ReadonlySet<string> = new Set(['START', 'COMPLETE', 'FAIL', 'RELEASE', 'BLOCK']);

/** Facts about other actors are so old at most when a decision rests on them, milliseconds. */
const factMaxAgeMs = 250;

/** Throws where a record does not follow from the one before it. */
export function checkHistory(records: readonly StoredRecord[]): void {
  const last = new Map<string, StoredRecord>();
  const absentUntil = new Map<string, number>();
  const openUntil = new Map<string, number>();
  const tokens = new Map<string, number>();
  let revision = 0;
  for (const stored of records) {
    const key = formatRef(stored.record);
    const before = last.get(key);
    expect(stored.revision, 'revisions grow').toBeGreaterThan(revision);
    revision = stored.revision;
    checkFold(before?.record, stored.record);
    if (stored.record.kind === 'task') {
      checkOwnership(before?.record, stored.record);
      checkTimes(before?.record, stored.record);
      if (stored.record.event.type === 'CLAIM') {
        const { token } = stored.record.snapshot.context as TaskContext;
        expect(token, `tokens of ${key} grow`).toBeGreaterThan(tokens.get(key) ?? 0);
        tokens.set(key, token!);
      }
    }
    if (stored.record.kind === 'swarm') {
      const { id, at, snapshot } = stored.record;
      const { registration, liveness } = snapshot.value as SwarmState;
      noteSpan(absentUntil, id, at, registration !== 'registered' || liveness !== 'online');
      noteSpan(openUntil, id, at, losesTasks(snapshot.context as SwarmContext));
    }
    if (stored.record.event.type === 'OWNER_LOST')
      checkLoss(stored.record.event['reason'] === 'circuit_open' ? openUntil : absentUntil, stored.record);
    last.set(key, stored);
  }
}

/** Until when something was so of each swarm; as long as it is, for ever. */
function noteSpan(until: Map<string, number>, id: string, at: number, isSo: boolean): void {
  if (isSo) until.set(id, Number.POSITIVE_INFINITY);
  else if (until.get(id) === Number.POSITIVE_INFINITY) until.set(id, at);
}

/** Nobody loses a task for not being there who is there, nor for an open circuit that is closed. */
function checkLoss(until: Map<string, number>, { id, at, event }: ActorRecord): void {
  const owner = String(event['owner']);
  const what = `${owner} lost ${id}: ${String(event['reason'])}`;
  expect(until.get(owner) ?? 0, what).toBeGreaterThanOrEqual(at - factMaxAgeMs);
}

/** A record is its event applied by the machine to the snapshot before it. */
function checkFold(before: ActorRecord | undefined, record: ActorRecord): void {
  const machine = machineOf(record.kind)!;
  const what = `${record.event.type} of ${formatRef(record)}`;
  expect(record.n, `${what}: n counts the transitions`).toBe((before?.n ?? 0) + 1);
  expect(before?.snapshot.status, `${what}: nothing follows a final state`).not.toBe('done');
  const verdict = decide(machine, before?.snapshot ?? machine.absent, record.event as never);
  expect(verdict, `${what} is accepted`).toMatchObject({ accepted: true });
  expect(record.snapshot, `${what}: the snapshot is what the machine makes of it`).toEqual(
    verdict.accepted ? verdict.snapshot : undefined,
  );
  expect(record.v, what).toBe(machine.version);
}

/** At most one owner: between a claim and the end of its ownership only the owner acts, and only under its token. */
function checkOwnership(before: ActorRecord | undefined, { id, event, snapshot }: ActorRecord): void {
  const was = before && (before.snapshot.context as TaskContext);
  const state = before ? stateName(before.snapshot.value) : 'absent';
  const what = `${event.type} of ${id} in ${state}`;
  expect(finalStates, `${what}: a task that has ended never changes`).not.toContain(state);
  if (event.type === 'CLAIM') {
    expect(was?.owner ?? null, `${what}: nobody owns what is claimed`).toBeNull();
    expect(state, what).toBe('available');
  }
  if (byOwner.has(event.type)) {
    expect(ownedStates, what).toContain(state);
    expect(event['by'], `${what}: only the owner`).toBe(was?.owner);
    if (event['token'] !== undefined) expect(event['token'], `${what}: the present token`).toBe(was?.token);
  }
  if (event.type === 'LEASE_EXPIRED') expect(event['token'], what).toBe(was?.token);
  const now = snapshot.context as TaskContext;
  const isOwned = (ownedStates as readonly string[]).includes(stateName(snapshot.value));
  if (isOwned) expect(now.owner, `${what}: an owned task has an owner`).not.toBeNull();
  if (isOwned && event.type !== 'CLAIM')
    expect([now.owner, now.token], `${what}: an ownership begins with a claim`).toEqual([was?.owner, was?.token]);
}

/** Nothing that time does comes early. */
function checkTimes(before: ActorRecord | undefined, { id, at, event, snapshot }: ActorRecord): void {
  const was = before && (before.snapshot.context as TaskContext);
  if (event.type === 'LEASE_EXPIRED')
    expect(at, `the lease of ${id} is over`).toBeGreaterThanOrEqual(was?.lease_expires_at ?? Number.POSITIVE_INFINITY);
  if (event.type === 'DUE') expect(at, `${id} is due`).toBeGreaterThanOrEqual(was?.due_at ?? 0);
  if (stateName(snapshot.value) === 'available')
    expect((snapshot.context as TaskContext).open_dependencies, `${id} is available`).toEqual([]);
}
