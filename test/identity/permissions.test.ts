import { describe, expect, it } from 'vitest';
import { swarmPermissions } from '../../src/identity/permissions.ts';
import { Namespace } from '../../src/namespace.ts';

describe('the permissions of a swarm', () => {
  it('are its commands, its mailbox, its replies and the events that concern it, and nothing else (R29)', () => {
    expect(swarmPermissions(new Namespace(), 'alpha')).toEqual({
      pub: {
        allow: [
          'if.command.alpha.>',
          '$JS.API.CONSUMER.INFO.IF_inbox.inbox-alpha',
          '$JS.API.CONSUMER.MSG.NEXT.IF_inbox.inbox-alpha',
          '$JS.ACK.IF_inbox.inbox-alpha.>',
        ],
      },
      sub: {
        allow: [
          '_INBOX_alpha.>',
          'if.event.task.>',
          'if.event.blocker.>',
          'if.event.swarm.alpha',
          'if.event.execution.alpha.>',
          'if.event.request.alpha.>',
          'if.inbox.alpha.>',
        ],
      },
    });
  });

  it('use the names of the namespace', () => {
    const { pub, sub } = swarmPermissions(new Namespace('LAB_2'), 'alpha');
    const subjects = [...pub.allow, ...sub.allow].filter((subject) => !subject.startsWith('_INBOX_'));
    expect(subjects.filter((subject) => !/lab_2\.|\.LAB_2_inbox\./.test(subject))).toEqual([]);
  });
});
