/** `infrafabric witness verify`: whether the history is whole and as it was written. Needs no cluster. */
import type { TrustedKeys } from '../../witness/proofs/trusted-keys.ts';
import { compareDatabases, type Difference } from '../../witness/verify/against.ts';
import { type Verification, verifyDatabase, wholeFile } from '../../witness/verify/verify.ts';
import { textOf } from '../option-values.ts';
import { type ExitCode, exitCodes, type Output } from '../output.ts';
import type { CommandRun } from '../program.ts';
import { databasePath, keptCheckpoints, trustedKeys } from '../witness-source.ts';

interface Against {
  readonly ok: boolean;
  readonly differences: readonly Difference[];
}

/** Exit code 1 when a chain has a fault or differs, 3 when nothing can be read. */
export const verify: CommandRun = async (context, _, options) => {
  const { out } = context;
  const dataDir = (await context.resolve()).config.data_dir;
  const path = await databasePath(context, options);
  const trusted = trustedKeys(options, dataDir);
  // Before the database, which may grow meanwhile.
  const checkpoints = keptCheckpoints(options, dataDir);
  const verification = verifyDatabase(path, { trusted, checkpoints });
  const other = textOf(options, '--against');
  const against = other === undefined ? undefined : compare(path, other, trusted);
  const keys = trusted?.fingerprints ?? [];
  const ok = verification.ok && against?.ok !== false;
  out.data({ ...verification, ok, keys, checkpoints: checkpoints?.length ?? 0, ...(against && { against }) });
  showChains(out, verification);
  const isPruned = verification.chains.some((chain) => chain.pruned_through !== null);
  if (checkpoints || isPruned)
    out.line(`checkpoints: ${checkpoints?.length ?? 0}, public keys trusted: ${keys.join(', ') || 'none'}`);
  if (against && other !== undefined) showDifferences(out, other, against);
  return conclude(out, path, verification, ok);
};

/** The other file has to be right in itself, too: what is compared are hashes. */
function compare(path: string, other: string, trusted: TrustedKeys | undefined): Against {
  const differences: Difference[] = [];
  for (const { chain, errors } of verifyDatabase(other, { trusted }).chains) {
    const [first] = errors;
    if (first) differences.push({ chain, seq: first.seq, message: `${other} does not verify: ${first.message}` });
  }
  try {
    differences.push(...compareDatabases(path, other));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    differences.push({ chain: wholeFile, seq: 0, message: `they cannot be compared: ${message}` });
  }
  return { ok: differences.length === 0, differences };
}

function showChains(out: Output, { chains }: Verification): void {
  const rows = chains.map(({ chain, entries, first_seq, last_seq, pruned_through, gaps, errors, head_hash }) => {
    const pruned = pruned_through === null ? {} : { pruned: pruned_through };
    return {
      chain,
      entries,
      first: first_seq,
      last: last_seq,
      ...pruned,
      gaps,
      errors: errors.length,
      head: head_hash,
    };
  });
  const isPruned = chains.some((chain) => chain.pruned_through !== null);
  const columns = [
    'chain',
    'entries',
    'first',
    'last',
    ...(isPruned ? ['pruned' as const] : []),
    'gaps',
    'errors',
    'head',
  ] as const;
  out.table(
    columns.map((key) => ({ key })),
    rows,
    'the witness has no entries',
  );
  const faults = faultsOf(chains);
  if (faults.length === 0) return;
  out.line('');
  out.table([{ key: 'chain' }, { key: 'seq' }, { key: 'code' }, { key: 'message' }], faults);
}

function showDifferences(out: Output, other: string, { ok, differences }: Against): void {
  if (ok) out.line(`${other}: the same chains`);
  else out.table([{ key: 'chain' }, { key: 'seq' }, { key: 'message' }], differences);
}

function conclude(out: Output, path: string, { chains }: Verification, ok: boolean): ExitCode {
  if (ok) {
    out.line(`${path}: verified`);
    return exitCodes.done;
  }
  const isUnreadable = chains.length > 0 && chains.every(({ chain }) => chain === wholeFile);
  const faults = faultsOf(chains).length;
  if (isUnreadable) out.note(`${path} cannot be read; name a witness database with --db FILE`);
  else if (faults > 0) out.note(`${path}: verification failed, ${faults} faults`);
  else out.note(`${path}: verified, but the other database differs`);
  return isUnreadable ? exitCodes.unreachable : exitCodes.no;
}

function faultsOf(chains: Verification['chains']) {
  return chains.flatMap(({ chain, errors }) => errors.map((error) => ({ chain, ...error })));
}
