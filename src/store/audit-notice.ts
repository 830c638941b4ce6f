/**
 * What a witness tells everyone who can listen on the bus: whether it stores what is in the log, and each checkpoint that
 * it signs. Only services and operators may publish and read these subjects.
 */
import type { Namespace } from '../namespace.ts';

/** Sent by each witness once a second, and whenever it changes. */
export interface AuditNotice {
  /** Where the witness is: `<host>:<path of its database>`. */
  readonly witness: string;
  /** False while it cannot store what it is given. */
  readonly audited: boolean;
  /** Why not; null when audited. */
  readonly reason: string | null;
  /** Since when, milliseconds since 1970. */
  readonly since: number;
}

/** The time between two notices of a witness, milliseconds. */
export const noticeEveryMs = 1_000;

export function auditSubject(namespace: Namespace): string {
  return `${namespace.root}.witness.audit`;
}

/** Checkpoints are published here, as JSON, so that a head can be kept elsewhere. */
export function checkpointSubject(namespace: Namespace): string {
  return `${namespace.root}.witness.checkpoint`;
}

/** Undefined when the text is not a notice. */
export function readNotice(text: string): AuditNotice | undefined {
  try {
    const { witness, audited, reason, since } = JSON.parse(text) as Partial<AuditNotice>;
    if (typeof witness !== 'string' || typeof audited !== 'boolean' || typeof since !== 'number') return undefined;
    return { witness, audited, reason: typeof reason === 'string' ? reason : null, since };
  } catch {
    return undefined;
  }
}
