/** `infrafabric up`: a fabric in the foreground, until SIGTERM or Ctrl-C. */
import { once } from 'node:events';
import { EmbeddedFabric } from '../../../actors/fabric/embedded-fabric.ts';
import { createLog } from '../../log.ts';
import { exitCodes } from '../output.ts';
import type { CommandRun } from '../program.ts';

const adoptable = 'the nodes go on, their memory is the state: put the cause right, and `infrafabric up` adopts them';

export const up: CommandRun = async ({ out, resolve, signal }) => {
  const { config, sources } = await resolve();
  const log = createLog({ level: config.log_level === 'info' ? 'warn' : config.log_level, service: 'up' });
  const ended = new AbortController();
  let escalation: string | undefined;
  const fabric = await EmbeddedFabric.start({
    config,
    log,
    signal,
    requirePolicies: sources.find(({ key }) => key === 'policies')?.source !== 'default',
    onProgress: (line) => out.note(line),
    onEscalation: (reason) => {
      escalation ??= reason;
      ended.abort();
    },
  });
  const facts = {
    ready: true,
    servers: [...fabric.servers],
    namespace: fabric.namespace.name,
    data_dir: config.data_dir,
    pid: process.pid,
  };
  out.item(facts);
  out.line(
    `ready: ${fabric.servers.join(',')} (namespace ${fabric.namespace.name}, data in ${config.data_dir}); Ctrl-C stops it`,
  );
  const either = AbortSignal.any([signal, ended.signal]);
  if (!either.aborted) await once(either, 'abort');
  if (escalation === undefined) {
    out.note('stopping: requests first, then the witness, then the nodes');
    const unstored = await fabric.stop(log);
    if (unstored === undefined) return exitCodes.done;
    out.note(`error: the witness could not store everything: ${unstored}; only the nodes have the rest`);
    out.note(adoptable);
    return exitCodes.unreachable;
  }
  // What gave up may be the witness: then the nodes hold transitions that nothing else has.
  await fabric.stop(log, { keepNodes: true });
  out.note(`error: ${escalation}; ${config.data_dir}/logs says more`);
  out.note(adoptable);
  return exitCodes.unreachable;
};
