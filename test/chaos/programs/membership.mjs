// What the programs of a chaos run begin with: instructions from the parent, a connection whose requests are written
// down, and an end with the parent.
import { FabricClient } from '../../../dist/src/bus/client.js';
import { connectTo } from '../../../dist/src/bus/connection.js';
import { authFromCreds } from '../../../dist/src/identity/connect-auth.js';
import { Namespace } from '../../../dist/src/namespace.js';
import { writeDown } from './wire-log.mjs';

process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => {});

export function tell(message) {
  if (process.connected) process.send(message);
}

/** Runs `program({ client, signal, ...instructions })`; the signal aborts when the parent says stop. */
export async function asMember(program) {
  const instructions = await new Promise((resolve) => process.once('message', resolve));
  const stop = new AbortController();
  process.on('message', () => stop.abort());
  try {
    const { authenticator, inboxPrefix, callerId } = authFromCreds(instructions.creds);
    const nc = await connectTo({
      servers: instructions.servers,
      authenticator,
      inboxPrefix,
      name: callerId,
      patienceMs: 60_000,
    });
    writeDown(nc, instructions.log);
    const client = new FabricClient({
      nc,
      namespace: new Namespace(),
      callerId,
      attemptTimeoutMs: 2_000,
      timeoutMs: 60_000,
    });
    await program({ ...instructions, client, signal: stop.signal });
    await nc.close();
    tell({ done: true });
    process.disconnect();
  } catch (error) {
    tell({ failed: `${error.code ?? ''} ${error.stack ?? error}` });
    process.exit(1);
  }
}
