/** `infrafabric witness query|verify`: the history that the witness keeps. Verifying needs no cluster. */
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { FabricError } from '../../errors.ts';
import { type QueryFilter, type QueryPage, queryEntries } from '../../witness/query.ts';
import { openReadOnly } from '../../witness/read-only.ts';
import { verifyDatabase, wholeFile } from '../../witness/verify.ts';
import { withFabric } from '../fabric-session.ts';
import { given, numberOf, textOf, timeOf } from '../option-values.ts';
import { exitCodes } from '../output.ts';
import type { CommandContext, CommandRun } from '../program.ts';
import { formatTime, formatUsd } from '../table.ts';

/** With `--db` from that file; else from the fabric, or the data directory's own file where none is to be asked. */
export const query: CommandRun = async (context, _, options) => {
  const { out } = context;
  const filter = given({
    since: timeOf(options, '--since'),
    until: timeOf(options, '--until'),
    swarm_id: textOf(options, '--swarm'),
    event: textOf(options, '--event'),
    component: textOf(options, '--component'),
    trace_id: textOf(options, '--trace'),
    kind: textOf(options, '--kind'),
    id: textOf(options, '--id'),
    order: textOf(options, '--order'),
    limit: numberOf(options, '--limit'),
    cursor: textOf(options, '--cursor'),
  });
  const db = textOf(options, '--db');
  const page = db === undefined ? await ask(context, filter) : queryFile(db, filter);
  out.data(page);
  const rows = page.entries.map((entry) => ({
    time: formatTime(entry.timestamp),
    component: entry.component,
    event: entry.event,
    actor: entry.kind === null ? null : `${entry.kind}:${entry.actor_id}`,
    n: entry.n,
    swarm: entry.swarm_id,
    trace: entry.trace_id,
    cost: entry.cost_usd === null ? null : formatUsd(entry.cost_usd),
    entry: `${entry.chain}/${entry.seq}`,
  }));
  const columns = ['time', 'component', 'event', 'actor', 'n', 'swarm', 'cost', 'trace', 'entry'] as const;
  out.table(
    columns.map((key) => ({ key })),
    rows,
    'no entries',
  );
  if (page.cursor !== null) out.note(`there are more: --cursor ${page.cursor}`);
  return exitCodes.done;
};

async function ask(context: CommandContext, filter: Record<string, unknown>): Promise<QueryPage> {
  const { config } = await context.resolve();
  // The operator's own file holds the same, and is there also when no fabric runs.
  if (config.servers.length === 0 && config.creds === undefined)
    return queryFile(join(config.data_dir, 'witness.db'), filter);
  return await withFabric(context, async ({ client }) => await client.request<QueryPage>('witness', 'query', filter));
}

/** @throws FabricError UNAVAILABLE when the file cannot be read */
function queryFile(path: string, filter: QueryFilter): QueryPage {
  const { sqlite, close } = openReadOnly(path);
  try {
    return queryEntries(sqlite, filter);
  } catch (error) {
    if (!(error instanceof Sqlite.SqliteError || error instanceof SyntaxError)) throw error;
    throw new FabricError(
      'UNAVAILABLE',
      `${path} cannot be read as a witness database (${error.message}); \`infrafabric witness verify --db ${path}\` says more`,
      undefined,
      { cause: error },
    );
  } finally {
    close();
  }
}

/** Exit code 1 when a chain has a fault, 3 when nothing can be read. */
export const verify: CommandRun = async (context, _, options) => {
  const { out } = context;
  const path = textOf(options, '--db') ?? join((await context.resolve()).config.data_dir, 'witness.db');
  const verification = verifyDatabase(path);
  out.data(verification);
  const rows = verification.chains.map(({ chain, entries, first_seq, last_seq, gaps, errors, head_hash }) => {
    return { chain, entries, first: first_seq, last: last_seq, gaps, errors: errors.length, head: head_hash };
  });
  const columns = ['chain', 'entries', 'first', 'last', 'gaps', 'errors', 'head'] as const;
  out.table(
    columns.map((key) => ({ key })),
    rows,
    'the witness has no entries',
  );
  const faults = verification.chains.flatMap(({ chain, errors }) => errors.map((error) => ({ chain, ...error })));
  if (faults.length > 0) out.line('');
  if (faults.length > 0) out.table([{ key: 'chain' }, { key: 'seq' }, { key: 'code' }, { key: 'message' }], faults);
  if (verification.ok) {
    out.line(`${path}: verified`);
    return exitCodes.done;
  }
  const unreadable = verification.chains.every(({ chain }) => chain === wholeFile);
  out.note(
    unreadable
      ? `${path} cannot be read; name a witness database with --db FILE`
      : `${path}: verification failed, ${faults.length} faults`,
  );
  return unreadable ? exitCodes.unreachable : exitCodes.no;
};
