/** The parts of the report that tell what happened: sums first, then lists, then the timeline. */
import { subtractUsd } from '../../../machines/money.ts';
import type { CostGroup, CostReport } from '../query/cost.ts';
import { groupField } from '../query/cost.ts';
import { type Bar, barChart } from './chart.ts';
import type { Bounded, ReportFacts } from './facts.ts';
import { countText, html, type Insert, type Markup, tableOf, timeText, Usd } from './html.ts';
import type { Selection } from './selection.ts';
import type { TimelineRow } from './timeline.ts';

const barLimit = 12;
const dayBars = 31;
const costRows = 50;

export function summarySection(
  facts: ReportFacts,
  costs: readonly CostReport[],
  selection: Selection,
  pruned: readonly { readonly chain: string; readonly seq: number }[],
): Markup {
  const entries = facts.chains.reduce((sum, chain) => sum + chain.entries, 0);
  const first = facts.chains.reduce((least, chain) => Math.min(least, chain.first_at), Number.POSITIVE_INFINITY);
  const last = facts.chains.reduce((most, chain) => Math.max(most, chain.last_at), Number.NEGATIVE_INFINITY);
  const total = costs[0]?.total;
  const tiles: readonly (readonly [string, string])[] = [
    ['Entries', countText(entries)],
    ['Swarms', countText(facts.swarms.all)],
    ['Tasks', countText(facts.tasks.all)],
    ...facts.task_states.map(({ state, tasks }) => [`Tasks ${state ?? 'without a state'}`, countText(tasks)] as const),
    ['Cost', String(new Usd(total?.cost_usd ?? 0))],
    ['Tokens in', countText(total?.tokens_in ?? 0)],
    ['Tokens out', countText(total?.tokens_out ?? 0)],
  ];
  const filters = Object.entries(selection).flatMap(([name, value]) => {
    if (value === undefined) return [];
    return [`${name} ${typeof value === 'number' ? timeText(value) : value}`];
  });
  return html`<section><h2>Summary</h2>
<dl class="tiles">${tiles.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
<dl class="facts"><dt>Entries from</dt><dd><time>${timeText(first)}</time></dd><dt>Entries to</dt><dd><time>${timeText(last)}</time></dd>
<dt>Selected</dt><dd>${filters.length === 0 ? 'all entries' : filters.join(', ')}</dd>
${pruned.map(({ chain, seq }) => html`<dt>Pruned</dt><dd>${chain}: the entries up to ${countText(seq)} were removed behind a signed checkpoint and are in no sum here.</dd>`)}</dl></section>\n`;
}

export function costSection(costs: readonly CostReport[]): Markup {
  if (costs.every(({ groups }) => groups.length === 0)) {
    return html`<section><h2>Cost</h2><p class="empty">No entry tells a cost.</p></section>\n`;
  }
  const titles = { swarm: 'Cost by swarm', model: 'Cost by model', component: 'Cost by component', day: 'Cost by day' };
  return html`<section><h2>Cost</h2>${costs.map((report) => {
    const { by } = report;
    return html`${barChart(titles[by], barsOf(report))}
${notInBars(report)}
${by === 'swarm' ? costTable(report) : null}`;
  })}</section>\n`;
}

function costTable({ by, groups, total }: CostReport): Markup {
  const row = (name: string, sums: Omit<CostGroup, never>): Insert[] => [
    name,
    new Usd(sums.cost_usd),
    sums.tokens_in,
    sums.tokens_out,
    sums.entries,
  ];
  const rows = groups.slice(0, costRows).map((group) => row(nameOf(group[groupField[by]]), group));
  const left = groups.length - rows.length;
  return html`${tableOf(['Swarm', 'Cost', 'Tokens in', 'Tokens out', 'Entries'], [...rows, row('total', total)], '')}
${left > 0 ? html`<p class="note">${countText(left)} swarms that cost less are left out; the total has them.</p>` : null}`;
}

function barsOf({ by, groups }: CostReport): Bar[] {
  const bar = (label: string, value: number): Bar => ({ label, value, text: String(new Usd(value)) });
  if (by === 'day') return groups.slice(-dayBars).map((group) => bar(nameOf(group.day), group.cost_usd));
  return groups.slice(0, barLimit).map((group) => bar(nameOf(group[groupField[by]]), group.cost_usd));
}

/** What the bars leave out, in words: beside single groups its bar would be of another kind. */
function notInBars({ by, groups, total }: CostReport): Markup | null {
  if (by === 'day') {
    return groups.length > dayBars
      ? html`<p class="note">The last ${dayBars} of ${countText(groups.length)} days with costs.</p>`
      : null;
  }
  const shown = groups.slice(0, barLimit);
  if (groups.length === shown.length) return null;
  const rest = shown.reduce((sum, group) => subtractUsd(sum, group.cost_usd), total.cost_usd);
  return html`<p class="note">${countText(groups.length - shown.length)} others: ${new Usd(rest)} together.</p>`;
}

export function swarmSection({ swarms }: ReportFacts): Markup {
  const rows = swarms.rows.map((swarm) => [
    swarm.swarm_id,
    swarm.claimed,
    swarm.completed,
    swarm.failed,
    swarm.entries,
  ]);
  const titles = ['Swarm', 'Tasks claimed', 'Completed', 'Attempts failed', 'Entries'];
  return html`<section><h2>Swarms</h2>${tableOf(titles, rows, 'No entry names a swarm.')}${left(swarms, 'swarms with fewer entries')}</section>\n`;
}

export function taskSection({ tasks }: ReportFacts): Markup {
  const rows = tasks.rows.map((task): Insert[] => [
    task.task_id,
    task.task_type,
    task.state,
    task.owner,
    typeof task.attempt === 'number' ? task.attempt : null,
    time(task.created_at),
    time(task.last_at),
    money(task.cost_usd),
  ]);
  const titles = ['Task', 'Type', 'State', 'Owner', 'Attempt', 'Created', 'Last change', 'Cost'];
  return html`<section><h2>Tasks</h2>${tableOf(titles, rows, 'No task is in these entries.')}${left(tasks, 'tasks that changed earlier')}</section>\n`;
}

export function eventSection({ events }: ReportFacts): Markup {
  const rows = events.rows.map(({ component, event, entries }) => [component, event, entries]);
  return html`<section><h2>Events</h2>${tableOf(['Component', 'Event', 'Entries'], rows, 'No entries.')}${left(events, 'kinds of events with fewer entries')}</section>\n`;
}

/** `all` is how many entries there are. */
export function timelineSection(rows: readonly TimelineRow[], all: number): Markup {
  const earlier = html`<p class="note">The last ${countText(rows.length)} of ${countText(all)} entries; ${countText(all - rows.length)} earlier ones are left out. An export as JSON or CSV has them all.</p>`;
  const titles = ['Time', 'Actor', 'Event', 'State', 'Swarm', 'Cost', 'Entry'];
  return html`<section><h2>Timeline</h2>${rows.length < all ? earlier : null}
${tableOf(titles, rows.map(timelineRow), 'No entries.', 'timeline')}</section>\n`;
}

function timelineRow(row: TimelineRow): Insert[] {
  return [
    time(row.timestamp),
    html`${row.actor}${row.n === null ? null : html`<span class="detail">transition ${row.n}</span>`}`,
    html`${row.event}${row.detail === '' ? null : html`<span class="detail">${row.detail}</span>`}`,
    row.state,
    row.swarm_id,
    money(row.cost_usd),
    html`<code>${row.entry}</code>`,
  ];
}

function left({ rows, all }: Bounded<unknown>, what: string): Markup | null {
  return rows.length < all ? html`<p class="note">${countText(all - rows.length)} ${what} are left out.</p>` : null;
}

function time(ms: number | null): Insert {
  return typeof ms === 'number' ? html`<time>${timeText(ms)}</time>` : null;
}

function money(amount: number | null): Insert {
  return typeof amount === 'number' ? new Usd(amount) : null;
}

function nameOf(key: string | null | undefined): string {
  return key ?? '(not said)';
}
