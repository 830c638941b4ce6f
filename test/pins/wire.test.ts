/** What independent clients rely on, pinned: a change here is a change of the contract. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { codes } from '../../machines/codes.ts';
import { finalStates, taskStates } from '../../machines/task/context.ts';
import { inboxPrefix, Namespace } from '../../src/namespace.ts';

describe('the wire contract', () => {
  it('has these codes, and no others', () => {
    expect(Object.keys(codes)).toEqual([
      'INVALID_REQUEST',
      'UNAUTHORIZED',
      'TASK_NOT_FOUND',
      'TASK_EXISTS',
      'TASK_NOT_AVAILABLE',
      'NOT_OWNER',
      'STALE_TOKEN',
      'SWARM_NOT_FOUND',
      'SWARM_OFFLINE',
      'CIRCUIT_OPEN',
      'BUDGET_EXHAUSTED',
      'CAPABILITY_MISSING',
      'CAPACITY_EXCEEDED',
      'POLICY_VIOLATION',
      'TARGET_NOT_FOUND',
      'TIMEOUT',
      'PAYLOAD_TOO_LARGE',
      'CONFLICT',
      'RATE_LIMITED',
      'UNAVAILABLE',
      'INTERNAL',
    ]);
  });

  it('leaves the outcome open for three codes only', () => {
    const open = Object.entries(codes).filter(([, { effect }]) => effect === 'unknown');
    expect(open.map(([code]) => code)).toEqual(['TIMEOUT', 'UNAVAILABLE', 'INTERNAL']);
  });

  it('is documented code by code', () => {
    const protocol = readFileSync('docs/protocol.md', 'utf8');
    for (const [code, { meaning, retryable, effect }] of Object.entries(codes)) {
      const row = `| \`${code}\` | ${meaning} | ${retryable ? 'yes' : 'no'} | ${effect === 'none' ? 'no' : 'unknown'} |`;
      expect(protocol).toContain(row);
    }
  });

  it('names the states of a task', () => {
    expect(taskStates.slice(1)).toEqual([
      'waiting',
      'available',
      'claimed',
      'in_progress',
      'blocked',
      'completed',
      'failed',
      'cancelled',
    ]);
    expect(finalStates).toEqual(['completed', 'failed', 'cancelled']);
  });

  it('uses these names on the cluster', () => {
    const ns = new Namespace('IF');
    expect(ns.actorsBucket).toBe('IF_actors');
    expect(ns.busBucket).toBe('IF_bus');
    expect(ns.journalStream).toBe('IF_journal');
    expect(ns.timersStream).toBe('IF_timers');
    expect(ns.inboxStream).toBe('IF_inbox');
    expect(ns.actorSubject({ kind: 'task', id: 'P0.1.2' })).toBe('$KV.IF_actors.task.P0.1.2');
    expect(ns.eventSubject({ kind: 'task', id: 'P0.1.2' })).toBe('if.event.task.P0.1.2');
    expect(ns.commandSubject('alpha', 'task', 'claim')).toBe('if.command.alpha.task.claim');
    expect(ns.mailboxSubject('alpha', 'task')).toBe('if.inbox.alpha.task');
    expect(ns.mailboxConsumer('alpha')).toBe('inbox-alpha');
    expect(ns.timerSubject('task-due', 'P0.1')).toBe('if.timer.task-due.P0.1');
    expect(ns.dueSubject('task-due', 'P0.1')).toBe('if.due.task-due.P0.1');
    expect(inboxPrefix('alpha')).toBe('_INBOX_alpha');
  });

  it.each(['if', '1F', 'A'.repeat(17), 'A-B', ''])('refuses the namespace %j', (name) => {
    expect(() => new Namespace(name)).toThrow(/namespace/);
  });
});
