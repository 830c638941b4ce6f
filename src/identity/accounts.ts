/**
 * The accounts of a fabric and what passes between them.
 *
 * Swarms live in an account of their own. A server never checks the reply subject of a message, so whoever may ask
 * JetStream anything can have its answer published anywhere in his account: in the account of the streams a swarm could
 * overwrite a record with it, or send the empty answer to an acknowledgement to `$JS.API.STREAM.DELETE.<stream>`.
 *
 * - swarms -> fabric: commands, and the requests to the mailbox gate, both with their reply subject unchanged, so that
 *   services and the gate can check it;
 * - fabric -> swarms: replies, events and mailbox messages, narrowed by the permissions of each swarm.
 *
 * Nothing in the swarms' account answers anybody.
 */
import type { Namespace } from '../namespace.ts';
import { signClaims } from './jwt.ts';
import type { Keyring } from './keyring.ts';
import { gatePrefix, mailboxRequests } from './mailbox-gate.ts';
import { nameOfUser, swarmPermissions } from './permissions.ts';

/** Goes up whenever the claims below change, so that servers prefer the newer JWTs. */
const claimsVersion = 1;

const unlimited = { subs: -1, data: -1, payload: -1 };
const accountLimits = { ...unlimited, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: 0 };
const jetStreamLimits = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };

/** Revoked users: public key -> seconds since 1970, up to which issued JWTs of it are void. */
export interface Revocations {
  readonly users: Readonly<Record<string, number>>;
  /** The latest time of any revocation ever made, seconds since 1970; 0 without any. */
  readonly latest: number;
}

export function operatorJwt(namespace: Namespace, keys: Keyring): string {
  return signClaims(
    {
      name: namespace.name,
      subject: keys.operator.publicKey,
      type: 'operator',
      issuedAt: keys.created + claimsVersion,
      body: { system_account: keys.system.publicKey },
    },
    keys.operator,
  );
}

export function systemAccountJwt(keys: Keyring): string {
  return signClaims(
    {
      name: 'SYS',
      subject: keys.system.publicKey,
      type: 'account',
      issuedAt: keys.created + claimsVersion,
      body: { limits: accountLimits },
    },
    keys.operator,
  );
}

export function fabricAccountJwt(namespace: Namespace, keys: Keyring): string {
  const swarms = keys.swarms.publicKey;
  return signClaims(
    {
      name: namespace.name,
      subject: keys.fabric.publicKey,
      type: 'account',
      issuedAt: keys.created + claimsVersion,
      body: {
        limits: { ...accountLimits, ...jetStreamLimits },
        signing_keys: [keys.fabricSigner.publicKey],
        exports: [
          ...towardsSwarms(namespace).map((subject) => ({ name: subject, subject, type: 'stream' })),
          { name: shadowOfJetStream, subject: shadowOfJetStream, type: 'service' },
        ],
        imports: [
          { name: 'commands', subject: commands(namespace), account: swarms, type: 'stream' },
          ...mailboxRequests(namespace).map((subject) => ({
            name: subject,
            subject,
            account: swarms,
            type: 'stream',
            // For streams this is what goes in front of the subject.
            to: gatePrefix(namespace),
          })),
        ],
      },
    },
    keys.operator,
  );
}

export function swarmsAccountJwt(namespace: Namespace, keys: Keyring, revocations: Revocations): string {
  const fabric = keys.fabric.publicKey;
  return signClaims(
    {
      name: `${namespace.name}_swarms`,
      subject: keys.swarms.publicKey,
      type: 'account',
      issuedAt: Math.max(keys.created, revocations.latest) + claimsVersion,
      body: {
        limits: accountLimits,
        signing_keys: [
          {
            kind: 'user_scope',
            key: keys.swarmSigner.publicKey,
            role: 'swarm',
            template: {
              ...swarmPermissions(namespace, nameOfUser),
              ...unlimited,
              allowed_connection_types: ['STANDARD', 'WEBSOCKET'],
            },
          },
        ],
        revocations: revocations.users,
        exports: [commands(namespace), ...mailboxRequests(namespace)].map((subject) => ({
          name: subject,
          subject,
          type: 'stream',
        })),
        imports: [
          ...towardsSwarms(namespace).map((subject) => ({ name: subject, subject, account: fabric, type: 'stream' })),
          { name: shadowOfJetStream, subject: shadowOfJetStream, account: fabric, type: 'service' },
        ],
      },
    },
    keys.operator,
  );
}

/** A command has exactly five tokens: `<ns>.command.<swarm_id>.<service>.<op>`. */
function commands(namespace: Namespace): string {
  return `${namespace.root}.command.*.*.*`;
}

/**
 * Reply subjects begin with a token per swarm, which no pattern can single out, so everything of two to four tokens
 * passes (inboxes of all NATS clients have two or three, mailbox subjects four), and the events that have more. These
 * patterns must not overlap each other, or a message would arrive twice, nor what swarms send, which would be a cycle.
 */
function towardsSwarms(namespace: Namespace): string[] {
  return ['*.*', '*.*.*', '*.*.*.*', `${namespace.root}.event.*.*.>`];
}

/**
 * Not for swarms, whose permissions do not name it. A server that sees this import takes it that the account reaches
 * JetStream through another one; else it would answer the mailbox requests itself, with "JetStream not enabled".
 */
const shadowOfJetStream = '$JS.API.INFO';
