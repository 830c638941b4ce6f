/** `infrafabric status`: nodes, streams, services, actors and the witness of a running fabric. */
import { requireOperator, withFabric } from '../fabric-session.ts';
import { type FabricStatus, fabricStatus } from '../fabric-status.ts';
import { exitCodes, type Output } from '../output.ts';
import type { CommandRun } from '../program.ts';
import { formatTime } from '../table.ts';

export const status: CommandRun = async (context) => {
  const { out } = context;
  await withFabric(context, async (session) => {
    requireOperator(session, 'status');
    const present = await fabricStatus(session);
    out.data(present);
    show(out, present);
  });
  return exitCodes.done;
};

function show(out: Output, status: FabricStatus): void {
  const { namespace, servers, pid, version, started_at, nodes, streams, services, tasks, swarms, blockers, approvals } =
    status;
  const process = pid === null ? '' : `, process ${pid}, version ${version}, since ${formatTime(started_at)}`;
  out.line(`fabric ${namespace} at ${servers.join(', ')}${process}`);
  out.line('');
  if (nodes.length > 0) {
    const rows = nodes.map((node) => ({
      node: node.name,
      pid: node.pid,
      port: node.port,
      health: node.healthy ? 'healthy' : 'NOT HEALTHY',
      leads: node.leader ? 'actors' : '',
    }));
    out.table([{ key: 'node' }, { key: 'pid' }, { key: 'port' }, { key: 'health' }, { key: 'leads' }], rows);
    out.line('');
  }
  const columns = ['service', 'state', 'pid', 'restarts', 'last_error'] as const;
  const rows = services.map(({ id, ...service }) => ({ service: id, ...service }));
  out.table(
    columns.map((key) => ({ key, title: key.replace('_', ' ') })),
    rows,
    'no supervisor answers: nothing serves requests',
  );
  out.line('');
  const shown = ['stream', 'messages', 'bytes', 'last_seq', 'leader', 'replicas', 'witness_lag'] as const;
  out.table(
    shown.map((key) => ({ key, title: key.replace('_', ' ') })),
    streams,
  );
  out.line('');
  out.line(`tasks:     ${counts(tasks)}`);
  out.line(`swarms:    ${swarmLine(swarms)}`);
  out.line(`blockers:  ${counts(blockers)}`);
  out.line(`approvals: ${counts(approvals)}`);
  out.line(`witness:   ${witnessLine(status)}`);
  for (const line of troubleLines(status)) out.line(line);
}

function witnessLine({ witness_lag, witnesses }: FabricStatus): string {
  const behind = witness_lag === 0 ? 'has everything' : `${witness_lag} messages behind`;
  const present = witnesses.filter(({ present }) => present);
  if (present.length === 0) return `${behind}; no witness is there, the log keeps what it will store`;
  if (present.length === 1) return behind;
  return `${behind}; ${present.map(({ id, lag }) => `${id} ${lag === 0 ? 'has everything' : `${lag} behind`}`).join(', ')}`;
}

/** What keeps witnesses from storing, and swarms from claiming. */
function troubleLines({ audited, witnesses, paused }: FabricStatus): string[] {
  const lines = witnesses
    .filter((witness) => witness.audited === false)
    .map(({ place, reason, since }) => `${place ?? 'a witness'} cannot store since ${formatTime(since)}: ${reason}`);
  if (paused) lines.push('PAUSED: no swarm claims anything until `infrafabric governor resume --all`');
  if (!audited) lines.unshift('UNAUDITED: nothing is changed until a witness can store again');
  return lines;
}

function swarmLine({ open, ...others }: FabricStatus['swarms']): string {
  return open ? `${counts(others)}, ${open} with an open circuit` : counts(others);
}

function counts(of: Readonly<Record<string, number>>): string {
  const some = Object.entries(of).filter(([, number]) => number > 0);
  return some.map(([state, number]) => `${number} ${state}`).join(', ') || 'none';
}
