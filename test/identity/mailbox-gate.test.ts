import { describe, expect, it } from 'vitest';
import { passGate } from '../../src/identity/mailbox-gate.ts';
import { Namespace } from '../../src/namespace.ts';

const namespace = new Namespace();
const next = '$JS.API.CONSUMER.MSG.NEXT.IF_inbox.inbox-alpha';
const info = '$JS.API.CONSUMER.INFO.IF_inbox.inbox-alpha';
const ack = '$JS.ACK.IF_inbox.inbox-alpha.1.2.3.4.5';

describe('the gate of the mailboxes', () => {
  it.each([
    [next, '_INBOX_alpha.x'],
    [info, '_INBOX_alpha.x.y'],
    [ack, '_INBOX_alpha.x.y'],
    [ack, ''],
  ])('hands on %s with the reply subject %j', (subject, reply) => {
    expect(passGate(namespace, `if.mailbox.${subject}`, reply)).toBe(subject);
  });

  it.each([
    '$KV.IF_actors.task.P0',
    '$JS.API.STREAM.DELETE.IF_journal',
    '_INBOX_beta.x',
    '_INBOX_alphabet.x',
    '_INBOX_alpha',
    'if.command.beta.task.claim',
    '_INBOX_alpha.*',
    '_INBOX_alpha.>',
    'x_INBOX_alpha.x',
  ])('hands on nothing that is to be answered on %s', (reply) => {
    for (const subject of [next, info, ack]) {
      expect(passGate(namespace, `if.mailbox.${subject}`, reply)).toBeUndefined();
    }
  });

  it('hands on no question without a reply subject', () => {
    for (const subject of [next, info]) expect(passGate(namespace, `if.mailbox.${subject}`, '')).toBeUndefined();
  });

  it.each(['inbox-', 'inbox-A', 'inbox-*', 'mine', 'inboxalpha', 'xinbox-alpha'])('knows no mailbox %s', (consumer) => {
    const subject = `if.mailbox.$JS.API.CONSUMER.INFO.IF_inbox.${consumer}`;
    expect(passGate(namespace, subject, `_INBOX_${consumer.slice(6)}.x`)).toBeUndefined();
  });
});
