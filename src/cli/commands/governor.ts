/** `infrafabric governor ...`: budgets, circuits, capabilities and pauses, through the requests `governor.*`. */
import type { SwarmView } from '../../../actors/coordinator/swarms/swarm-view.ts';
import type { BudgetView } from '../../../actors/governor/budget-view.ts';
import type { FleetView } from '../../../actors/governor/fleet-controls.ts';
import type { Report, SwarmReport } from '../../../actors/governor/report.ts';
import { tightestLimit } from '../../../machines/budget.ts';
import type { MatchFactors } from '../../../machines/governance/matching.ts';
import { parseUsd } from '../../../machines/money.ts';
import { FabricError } from '../../errors.ts';
import { withFabric } from '../fabric-session.ts';
import { factTable } from '../facts.ts';
import { given, notUsd, numberOf, type Options, textOf, usdOf } from '../option-values.ts';
import { exitCodes } from '../output.ts';
import { noteMore, pageAsked } from '../pages.ts';
import type { CommandContext, CommandRun } from '../program.ts';
import { formatUsd } from '../table.ts';

export const report: CommandRun = async (context, _, options) => {
  const { out } = context;
  const found = await ask<Report>(context, 'report', {
    swarm_id: textOf(options, '--swarm'),
    ...pageAsked(options),
  });
  out.data(found);
  const { swarms, totals, fleet } = found;
  const rows = swarms.map(({ budget, ...swarm }) => ({
    swarm: swarm.swarm_id,
    circuit: circuitText(swarm),
    pause: swarm.pause?.mode,
    reputation: swarm.reputation,
    completed: swarm.counters.completed,
    failed: swarm.counters.failed,
    allocated: formatUsd(budget.allocated_usd),
    reserved: formatUsd(budget.reserved_usd),
    cost: costText(swarm.cost_usd, budget.overrun_usd),
    remaining: remainingText(budget, found.at),
  }));
  const total = {
    swarm: `all ${totals.swarms}`,
    allocated: formatUsd(totals.allocated_usd),
    reserved: formatUsd(totals.reserved_usd),
    cost: costText(totals.cost_usd, totals.overrun_usd),
  };
  out.table(
    [
      ...(['swarm', 'circuit', 'pause', 'reputation', 'completed', 'failed'] as const).map((key) => ({ key })),
      ...(['allocated', 'reserved', 'cost', 'remaining'] as const).map((key) => ({ key, align: 'right' as const })),
    ],
    rows.length === 0 ? [] : [...rows, total],
    'no swarms',
  );
  if (fleet) out.line(fleetLine(fleet, found.at));
  noteMore(out, found);
  return exitCodes.done;
};

export const match: CommandRun = async (context, _, options) => {
  const { out } = context;
  const requires = listOf(textOf(options, '--requires') ?? '');
  const found = await ask<MatchFactors[]>(context, 'match', {
    requires,
    max_cost: usdOf(options, '--max-cost'),
    cost_estimate: usdOf(options, '--cost-estimate'),
    limit: numberOf(options, '--limit'),
  });
  out.data(found);
  const rows = found.map((swarm) => ({
    swarm: swarm.swarm_id,
    match: swarm.match_score,
    score: swarm.combined_score ?? 'free',
    reputation: swarm.reputation,
    per_hour: formatUsd(swarm.cost_per_hour),
    missing: swarm.missing.join(', '),
  }));
  out.table(
    [
      { key: 'swarm' },
      { key: 'match' },
      { key: 'score', align: 'right' },
      { key: 'reputation' },
      { key: 'per_hour', title: 'per hour', align: 'right' },
      { key: 'missing' },
    ],
    rows,
    'no swarm qualifies; `infrafabric swarm list` shows what each can do, and which are online',
  );
  return rows.length > 0 ? exitCodes.done : exitCodes.no;
};

export const allocate: CommandRun = async (context, [swarm_id], options) => {
  const fabric = flagOf(options, 'fabric');
  requireOne(swarm_id, fabric, '--fabric');
  const budget_usd = limitOf(options, '--budget');
  if (budget_usd === null && !fabric)
    throw new FabricError('INVALID_REQUEST', '--budget none is for --fabric; a swarm has a budget, if only of 0');
  const result = await ask<object>(context, 'allocate_budget', {
    swarm_id,
    fabric,
    budget_usd,
    per_hour_usd: limitOf(options, '--per-hour'),
    per_day_usd: limitOf(options, '--per-day'),
    reason: textOf(options, '--reason'),
  });
  return show(context, result);
};

export const trackCost: CommandRun = async (context, [usd = ''], options) => {
  const cost_usd = parseUsd(usd);
  if (cost_usd === undefined) throw notUsd('the cost', usd);
  const body = {
    operation: textOf(options, '--operation'),
    cost_usd,
    tokens_in: numberOf(options, '--tokens-in'),
    tokens_out: numberOf(options, '--tokens-out'),
    model: textOf(options, '--model'),
    trace_id: textOf(options, '--trace'),
  };
  return show(context, await ask<object>(context, 'track_cost', body, textOf(options, '--swarm')));
};

export const grant: CommandRun = async (context, [swarm_id, ...capabilities]) =>
  show(context, await ask<SwarmView>(context, 'grant', { swarm_id, capabilities: capabilities.flatMap(listOf) }));

export const revoke: CommandRun = async (context, [swarm_id, ...capabilities]) =>
  show(context, await ask<SwarmView>(context, 'revoke', { swarm_id, capabilities: capabilities.flatMap(listOf) }));

const control =
  (op: 'pause' | 'drain' | 'resume'): CommandRun =>
  async (context, [swarm_id], options) => {
    const all = flagOf(options, 'all');
    requireOne(swarm_id, all, '--all');
    const body = { swarm_id, all, reason: textOf(options, '--reason') };
    return show(context, await ask<SwarmView | FleetView>(context, op, body));
  };

export const pause = control('pause');
export const drain = control('drain');
export const resume = control('resume');

export const resetCircuit: CommandRun = async (context, [swarm_id], options) =>
  show(context, await ask<SwarmView>(context, 'reset_circuit', { swarm_id, reason: textOf(options, '--reason') }));

async function ask<Result>(
  context: CommandContext,
  op: string,
  body: Readonly<Record<string, unknown>>,
  swarm?: string,
): Promise<Result> {
  return await withFabric(context, async ({ client }) => await client.request<Result>('governor', op, given(body)), {
    swarm,
  });
}

function show({ out }: CommandContext, result: object) {
  out.data(result);
  factTable(out, result);
  return exitCodes.done;
}

function circuitText({ circuit, circuit_reasons, on_trial }: Omit<SwarmReport, 'budget'>): string {
  if (circuit === 'open') return `open: ${circuit_reasons.join(', ')}`;
  return on_trial ? `${circuit}, on trial` : circuit;
}

/** What ran over was never taken from the budget, so the columns add up without it. */
function costText(cost_usd: number, overrun_usd: number): string {
  const over = overrun_usd > 0 ? ` (${formatUsd(overrun_usd)} over)` : '';
  return `${formatUsd(cost_usd)}${over}`;
}

/** Says which limit it is, where that of the hour or the day leaves less than the sum. */
function remainingText(budget: BudgetView, at: number): string {
  const when = { total: '', hour: ' this hour', day: ' today' }[tightestLimit(budget, at)];
  return `${formatUsd(budget.remaining_usd)}${when}`;
}

function fleetLine({ state, budget, pause }: FleetView, at: number): string {
  const paused =
    state === 'paused' ? `all swarms are paused (${pause?.mode}${pause?.reason ? `: ${pause.reason}` : ''}); ` : '';
  if (!budget) return `${paused}no budget holds for all swarms together`;
  const left = `${remainingText(budget, at)} of ${formatUsd(budget.allocated_usd)}`;
  return `${paused}left of the budget of all swarms together: ${left}`;
}

/** @throws FabricError INVALID_REQUEST unless there is either an id or the flag for all swarms */
function requireOne(swarm_id: string | undefined, isForAll: true | undefined, flag: string): void {
  if ((swarm_id === undefined) === (isForAll === true)) return;
  const received = isForAll ? `not both ${JSON.stringify(swarm_id?.slice(0, 80))} and ${flag}` : 'there is neither';
  throw new FabricError('INVALID_REQUEST', `name one swarm, or all of them with ${flag}; ${received}`);
}

/** True, or nothing to send. */
function flagOf(options: Options, key: string): true | undefined {
  return options[key] === true ? true : undefined;
}

function listOf(text: string): string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** Null for `none`. @throws FabricError INVALID_REQUEST */
function limitOf(options: Options, flag: string): number | null | undefined {
  return textOf(options, flag) === 'none' ? null : usdOf(options, flag);
}
