/** The least trust that a node starts with, for tests of the cluster alone: one system account, one application account. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createAccount,
  createOperator,
  createUser,
  encodeAccount,
  encodeOperator,
  encodeUser,
  fmtCreds,
} from '@nats-io/jwt';
import type { NodeAuth } from '../../src/cluster/auth.ts';

const unlimited = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
const withJetStream = { ...unlimited, mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };

export interface MintedAuth extends NodeAuth {
  /** Credentials of a user who may do everything in the application account. */
  readonly creds: Uint8Array;
}

export async function mintAuth({ jetstream = true } = {}): Promise<MintedAuth> {
  const operator = createOperator();
  const system = createAccount();
  const application = createAccount();
  const operatorJwt = await encodeOperator('IF', operator, { system_account: system.getPublicKey() });
  const accounts = new Map([
    [system.getPublicKey(), await encodeAccount('SYS', system, { limits: unlimited }, { signer: operator })],
    [
      application.getPublicKey(),
      await encodeAccount('APP', application, { limits: jetstream ? withJetStream : unlimited }, { signer: operator }),
    ],
  ]);
  const user = createUser();
  const userJwt = await encodeUser('operator', user, application, { subs: -1, data: -1, payload: -1 });
  return {
    creds: fmtCreds(userJwt, user),
    environment: { IF_OPERATOR_JWT: operatorJwt, IF_SYSTEM_ACCOUNT: system.getPublicKey() },
    async writeResolver(dir) {
      await mkdir(dir, { recursive: true });
      for (const [key, jwt] of accounts) await writeFile(join(dir, `${key}.jwt`), jwt, { mode: 0o600 });
    },
  };
}
