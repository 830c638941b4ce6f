/** `infrafabric doctor`: what a fabric needs, checked one by one, and where each setting comes from. */
import { diagnose } from '../diagnosis.ts';
import { exitCodes } from '../output.ts';
import type { CommandRun } from '../program.ts';

/** Exit code 1 when a check fails. */
export const doctor: CommandRun = async (context) => {
  const { out } = context;
  const { sources } = await context.resolve();
  const checks = await diagnose(context);
  const ok = checks.every(({ result }) => result !== 'failed');
  out.data({ ok, checks, settings: sources });
  out.table([{ key: 'check' }, { key: 'result' }, { key: 'found' }], checks);
  out.line('');
  const rows = sources.map(({ key, value, source }) => ({
    setting: key,
    value: Array.isArray(value) ? value.join(', ') : String(value ?? ''),
    source,
  }));
  out.table([{ key: 'setting' }, { key: 'value' }, { key: 'source' }], rows);
  const failed = checks.filter(({ result }) => result === 'failed');
  if (failed.length > 0) out.line('');
  for (const { check, todo } of failed) out.line(`${check}: ${todo}`);
  return ok ? exitCodes.done : exitCodes.no;
};
