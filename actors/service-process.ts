/**
 * The program of a service that runs in a process of its own: takes its instructions from its parent over IPC, runs one
 * service, and ends when it is told to, when the service fails, or when the parent is gone.
 */
import type { NatsConnection } from '@nats-io/nats-core';
import { connectTo } from '../src/bus/connection.ts';
import { authFromCreds } from '../src/identity/connect-auth.ts';
import { createLog, type Log } from '../src/log.ts';
import { Namespace } from '../src/namespace.ts';
import { awaitEpoch } from '../src/store/epoch-watch.ts';
import { serviceOf } from './registry.ts';
import type { RunningService, StartService } from './service.ts';
import type { ServiceInstructions } from './service-instructions.ts';
import type { ChildMessage } from './supervisor/process-child.ts';

/** How long an end may take, milliseconds. */
const endTimeoutMs = 9_000;
/** How long a service tries to reach the cluster; nodes that all ended are back in half of it. */
const connectPatienceMs = 20_000;

async function main(): Promise<void> {
  // Loading the service takes most of the start; what it needs to know arrives meanwhile.
  const loading = serviceOf(process.argv[2] ?? '');
  loading.catch(() => {});
  const instructions = await new Promise<ServiceInstructions>((resolve) =>
    process.once('message', resolve as (message: unknown) => void),
  );
  const log = createLog({ level: instructions.log_level, service: instructions.instance });
  let running: { service: RunningService; nc: NatsConnection } | undefined;
  let ending = false;
  const end = async (code: number, reason?: string) => {
    if (ending) return;
    ending = true;
    // With the cluster away nothing may ever be finished, and with the parent gone nobody would end it by force.
    setTimeout(() => process.exit(code), endTimeoutMs).unref();
    if (reason !== undefined) tell({ failed: reason });
    await running?.service
      .stop()
      .catch((error: unknown) => log.error({ err: error }, 'the service did not stop cleanly'));
    await running?.nc.close();
    process.exit(code);
  };
  // A parent that is gone before it has said anything leaves nothing to do.
  process.on('SIGTERM', () => void end(0));
  process.on('SIGINT', () => {});
  process.on('disconnect', () => void end(0));
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'unforeseen failure');
    void end(1, error.message);
  });
  try {
    running = await start(await loading, instructions, log);
    running.service.failed.catch((error: unknown) => void end(1, messageOf(error)));
    tell({ ready: true });
  } catch (error) {
    log.error({ err: error }, 'the service did not start');
    await end(1, messageOf(error));
  }
}

async function start(
  startService: StartService,
  instructions: ServiceInstructions,
  log: Log,
): Promise<{ service: RunningService; nc: NatsConnection }> {
  const auth = authFromCreds(instructions.creds);
  const nc = await connectTo({
    servers: instructions.servers,
    authenticator: auth.authenticator,
    inboxPrefix: auth.inboxPrefix,
    name: instructions.instance,
    patienceMs: connectPatienceMs,
  });
  const namespace = new Namespace(instructions.namespace);
  // While everything is lost, or being restored, there is nothing to fail at. The witness takes in what is restored.
  await awaitEpoch(nc, namespace, { restoring: process.argv[2] === 'witness' });
  const service = await startService({
    nc,
    namespace,
    log,
    settings: instructions.settings,
  });
  return { service, nc };
}

function tell(message: ChildMessage): void {
  if (process.connected) process.send?.(message);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

await main();
