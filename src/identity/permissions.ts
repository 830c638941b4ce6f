/**
 * What each kind of user may publish and subscribe to. A swarm speaks for itself only: its own commands, its own
 * replies, its own mailbox, and the events that concern it. No user may answer requests on subjects of the caller's
 * choosing (`allow_responses`), which would widen all of this.
 */
import { inboxPrefix, type Namespace } from '../namespace.ts';

export interface UserPermissions {
  readonly pub: { readonly allow: readonly string[] };
  readonly sub: { readonly allow: readonly string[] };
}

/** In a signing key's template the servers put the user's name here. */
export const nameOfUser = '{{name()}}';

/** What the swarm may do; nothing else is allowed to it. */
export function swarmPermissions(namespace: Namespace, swarmId: string): UserPermissions {
  const { root, inboxStream } = namespace;
  const consumer = namespace.mailboxConsumer(swarmId);
  return {
    pub: {
      allow: [
        `${root}.command.${swarmId}.>`,
        `$JS.API.CONSUMER.INFO.${inboxStream}.${consumer}`,
        `$JS.API.CONSUMER.MSG.NEXT.${inboxStream}.${consumer}`,
        `$JS.ACK.${inboxStream}.${consumer}.>`,
      ],
    },
    sub: {
      allow: [
        `${inboxPrefix(swarmId)}.>`,
        `${root}.event.task.>`,
        `${root}.event.blocker.>`,
        `${root}.event.swarm.${swarmId}`,
        `${root}.event.execution.${swarmId}.>`,
        `${root}.event.request.${swarmId}.>`,
        `${root}.inbox.${swarmId}.>`,
      ],
    },
  };
}

/** Operators and services: everything in their account. */
export const everything: UserPermissions = { pub: { allow: ['>'] }, sub: { allow: ['>'] } };
