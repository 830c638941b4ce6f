/**
 * The JWTs by which NATS servers know operators, accounts and users. The same claims always make the same bytes, and the
 * time of issue is chosen by the caller: servers keep, of two JWTs of one account, the one issued later, and which that
 * is must not depend on a clock that may jump.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Nkey } from './nkey.ts';

export interface Claims {
  readonly type: 'operator' | 'account' | 'user';
  readonly name: string;
  /** Public key of whom the claims are about. */
  readonly subject: string;
  /** Seconds since 1970. */
  readonly issuedAt: number;
  /** Seconds since 1970. */
  readonly expiresAt?: number | undefined;
  readonly body: object;
}

export function signClaims(claims: Claims, signer: Nkey): string {
  const content = {
    aud: 'NATS',
    iss: signer.publicKey,
    iat: claims.issuedAt,
    ...(claims.expiresAt === undefined ? {} : { exp: claims.expiresAt }),
    name: claims.name,
    sub: claims.subject,
    nats: { ...claims.body, type: claims.type, version: 2 },
  };
  const jti = createHash('sha256').update(JSON.stringify(content)).digest('hex');
  const signed = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part({ ...content, jti })}`;
  return `${signed}.${signer.sign(signed)}`;
}

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

const userClaims = z.object({
  name: z.string(),
  sub: z.string(),
  iss: z.string(),
  nats: z.object({ type: z.literal('user'), issuer_account: z.string().optional() }),
});

/** The claims of a user's JWT, not verified: that is for the servers. Undefined when it is no user's JWT. */
export function readUserClaims(jwt: string): z.infer<typeof userClaims> | undefined {
  try {
    const body = Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8');
    return userClaims.parse(JSON.parse(body));
  } catch {
    return undefined;
  }
}
