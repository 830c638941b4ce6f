/** `infrafabric policy ...`: whether policy files are valid, and which values are in force and where they come from. */
import { resolve as resolvePath } from 'node:path';
import { governorPolicyRef, type PolicyContext } from '../../../machines/policy/context.ts';
import { policyFields } from '../../../machines/policy/values.ts';
import { checkPolicies } from '../../policy/check.ts';
import { findingText } from '../../policy/findings.ts';
import { readGovernorPolicy, requirePoliciesDir } from '../../policy/policies-dir.ts';
import { NatsRecordLog } from '../../store/nats-record-log.ts';
import { findFabric, isRunning, requireOperator, withFabric } from '../fabric-session.ts';
import { exitCodes } from '../output.ts';
import type { CommandContext, CommandRun } from '../program.ts';
import { formatTime } from '../table.ts';

/** Exit code 1 when a file is not valid. */
export const check: CommandRun = async (context, [dir]) => {
  const { out } = context;
  const { config } = await context.resolve();
  const files = await checkPolicies(dir === undefined ? config.policies : resolvePath(dir));
  const ok = files.every(({ findings }) => findings.length === 0);
  out.data({ ok, files });
  for (const { file, present, findings } of files) {
    if (findings.length === 0) out.line(`${file}: ${present ? 'valid' : 'not there'}`);
    for (const finding of findings) out.line(findingText(finding));
  }
  if (files.every(({ present }) => !present)) out.note('there is nothing to check: is this the folder?');
  return ok ? exitCodes.done : exitCodes.no;
};

/** Of the running fabric; of the files where none runs, or `--policies` names them. */
export const show: CommandRun = async (context) => {
  const { out } = context;
  const shown = (await ofFabric(context)) ?? (await ofFiles(context));
  const values = policyFields.map((key) => ({
    key,
    value: shown.policy[key],
    source: shown.sources[key] ?? 'built-in',
  }));
  const { policy, sources, ...facts } = shown;
  out.data({ ...facts, values });
  out.table(
    [{ key: 'value' }, { key: 'is', align: 'left' }, { key: 'source' }],
    values.map(({ key, value, source }) => ({ value: key, is: JSON.stringify(value), source })),
  );
  const since = shown.loaded_at === null ? '' : `, in force since ${formatTime(shown.loaded_at)}`;
  out.note(`${shown.from === 'fabric' ? 'of the running fabric' : 'of the files; no fabric was asked'}${since}`);
  return exitCodes.done;
};

interface ShownPolicy extends Pick<PolicyContext, 'policy' | 'sources' | 'file' | 'digest'> {
  readonly from: 'fabric' | 'files';
  readonly loaded_at: number | null;
}

async function ofFabric(context: CommandContext): Promise<ShownPolicy | undefined> {
  if (await isFolderNamed(context)) return undefined;
  const place = await findFabric(context);
  if (!place || !(await isRunning(place))) return undefined;
  return await withFabric(context, async (session) => {
    requireOperator(session, 'policy show');
    const stored = await new NatsRecordLog(session.client.connection, session.namespace).read(governorPolicyRef);
    if (!stored) return undefined;
    const { policy, sources, file, digest, loaded_at } = stored.record.snapshot.context as PolicyContext;
    return { from: 'fabric', file, digest, loaded_at, policy, sources };
  });
}

async function ofFiles(context: CommandContext): Promise<ShownPolicy> {
  const { config } = await context.resolve();
  if (await isFolderNamed(context)) await requirePoliciesDir(config.policies);
  const { policy, sources, file, digest } = await readGovernorPolicy(config.policies);
  return { from: 'files', file, digest, loaded_at: null, policy, sources };
}

async function isFolderNamed(context: CommandContext): Promise<boolean> {
  const { sources } = await context.resolve();
  return sources.some(({ key, source }) => key === 'policies' && source.startsWith('flag '));
}
