/** `settling-program.ts SERVER CREDS-FILE DEPENDENCY`: settles the dependents of one task in batches of 20, then exits. */
import { readFile } from 'node:fs/promises';
import { connect } from '@nats-io/transport-node';
import { authFromCreds } from '../../src/identity/connect-auth.ts';
import { Namespace } from '../../src/namespace.ts';
import { startSettler } from './settling-process.ts';

const [servers = '', credsFile = '', dependency = ''] = process.argv.slice(2);
const { authenticator, inboxPrefix } = authFromCreds(await readFile(credsFile, 'utf8'));
const nc = await connect({ servers, authenticator, inboxPrefix });
const settler = await startSettler(nc, new Namespace(), { batch: 20 });
console.log('ready');
settler.settling.settle(dependency, 0);
await settler.settling.idle();
await settler.stop();
await nc.close();
