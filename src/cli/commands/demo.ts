/**
 * `infrafabric demo`: the whole story in well under a minute. Its fabric lives in a temporary folder that is removed at the end;
 * also when it is interrupted, no process and no file is left. Only a receipt and a public key stay, in the cache.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve as resolvePath } from 'node:path';
import type { Config } from '../../config/settings.ts';
import { type BoardTask, boardFor, recheckLeaseMs } from '../../demo/board.ts';
import { findingsOf } from '../../demo/findings.ts';
import { orInterrupted, outliveFailures } from '../../demo/interruption.ts';
import { cleanUpOnExit } from '../../demo/last-resort.ts';
import { measureFolder } from '../../demo/measure.ts';
import { presentFindings } from '../../demo/present.ts';
import { Progress } from '../../demo/progress.ts';
import { runDemo } from '../../demo/run.ts';
import { FabricError } from '../../errors.ts';
import { createLog } from '../../log.ts';
import { packageRoot } from '../../package-root.ts';
import { witnessPath } from '../../witness/files.ts';
import { exitCodes } from '../output.ts';
import type { CommandRun } from '../program.ts';

/** As many workers as there are names. */
const swarmIds = [
  'amber',
  'birch',
  'cedar',
  'delta',
  'ember',
  'flint',
  'grove',
  'heron',
  'iris',
  'juniper',
  'krill',
  'lotus',
  'maple',
  'north',
  'onyx',
  'pearl',
];
/** Folders that are measured at most, nearest first. */
const mostFolders = 200;

export const demo: CommandRun = async ({ out, resolve, signal }, _args, options) => {
  const begun = performance.now();
  const directory = resolvePath(typeof options['dir'] === 'string' ? options['dir'] : packageRoot());
  const workers = workersFrom(options['workers']);
  const keep = options['keep'] === true;
  refuseOthersFabric(options);
  const { config } = await resolve();
  const board = await boardOf(directory);
  if (board.length > mostFolders)
    out.note(`${directory} has more folders than the demo measures: it takes the ${mostFolders} nearest ones`);

  const log = createLog({ level: config.log_level === 'info' ? 'error' : config.log_level, service: 'demo' });
  const onConsequence = (error: unknown) => log.debug({ err: error }, 'failed after the demo was interrupted');
  const noLonger = outliveFailures(signal, onConsequence);
  // Nothing is said before everything is cleaned up: an interrupted demo has no result.
  const findings = await orInterrupted(signal, onConsequence, async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'infrafabric-demo-'));
    const cancelCleanUp = cleanUpOnExit(dataDir, keep);
    const progress = new Progress(process.stderr);
    try {
      const result = await runDemo({
        config: demoConfig(config, dataDir),
        board,
        swarmIds: swarmIds.slice(0, workers),
        receiptDir: join(config.cache_dir, 'demo'),
        log,
        progress,
        signal,
      });
      const totalMs = performance.now() - begun;
      return findingsOf(result, { directory, totalMs, leaseMs: recheckLeaseMs, dataDir: keep ? dataDir : null });
    } finally {
      progress.clear();
      const isDone = keep || (await removed(dataDir));
      if (isDone) cancelCleanUp();
      if (keep) out.note(`kept: ${dataDir}; infrafabric witness verify --db ${witnessPath(dataDir)} looks into it`);
      else if (!isDone) out.note(`${dataDir} could not be removed yet; look whether it is left`);
    }
  }).finally(noLonger);
  out.data(findings);
  presentFindings(out, findings);
  return findings.ok ? exitCodes.done : exitCodes.no;
};

/** When it could not be, that hides neither a result nor an error: both are worth more than an empty folder. */
async function removed(folder: string): Promise<boolean> {
  return await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }).then(
    () => true,
    () => false,
  );
}

/** What would be passed over in silence otherwise. */
function refuseOthersFabric(options: Readonly<Record<string, unknown>>): void {
  const given = Object.entries({ dataDir: '--data-dir', servers: '--servers', creds: '--creds' }).find(
    ([name]) => options[name] !== undefined,
  );
  if (given)
    throw new FabricError(
      'INVALID_REQUEST',
      `${given[1]}: the demo starts a fabric of its own in a temporary folder; leave the option out, and use --keep to look into that folder afterwards`,
    );
}

/** A fabric of its own, whatever other fabric the configuration tells of. */
function demoConfig(config: Config, dataDir: string): Config {
  return {
    ...config,
    data_dir: dataDir,
    servers: [],
    creds: undefined,
    port: 0,
    console_port: 0,
    nodes: 3,
    storage: 'memory',
    policies: join(dataDir, 'policies'),
  };
}

async function boardOf(directory: string): Promise<BoardTask[]> {
  const board = await boardFor(directory, mostFolders).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw new FabricError('INVALID_REQUEST', `--dir: ${directory} cannot be measured: ${why}`);
  });
  const isAlone = board.filter(({ task_type }) => task_type === 'measure').length === 1;
  if (isAlone && (await measureFolder(directory, '.')).files === 0) {
    throw new FabricError(
      'INVALID_REQUEST',
      `--dir: ${directory} holds no file that can be read; name a directory with files in it`,
    );
  }
  return board;
}

/** One is killed, and another has to go on. */
const workersAllowed = { least: 2, most: swarmIds.length, fallback: 8 };

function workersFrom(given: unknown): number {
  const { least, most, fallback } = workersAllowed;
  if (given === undefined) return fallback;
  const workers = typeof given === 'string' && /^\d{1,3}$/.test(given) ? Number(given) : Number.NaN;
  if (workers >= least && workers <= most) return workers;
  throw new FabricError(
    'INVALID_REQUEST',
    `--workers is ${JSON.stringify(given)}; allowed: a whole number from ${least} to ${most}, for one of them is killed`,
  );
}
