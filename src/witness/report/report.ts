/**
 * The audit report: one page of HTML without scripts or anything from elsewhere, to be read, printed and kept. It says
 * what was verified and with which key, what happened, who did it and what it cost. It is written in pieces, so that its
 * size, not that of the history, is what it takes.
 */
import type Sqlite from 'better-sqlite3';
import { FabricError } from '../../errors.ts';
import { costReports } from '../query/cost.ts';
import type { Verification } from '../verify/verify.ts';
import { reportFacts } from './facts.ts';
import { html, timeText } from './html.ts';
import { costSection, eventSection, summarySection, swarmSection, taskSection, timelineSection } from './sections.ts';
import { prunedChains, type Selection } from './selection.ts';
import { contentPolicy, reportStyle } from './style.ts';
import { timelineOf } from './timeline.ts';
import { type ReportTrust, verdict, verificationSection } from './verification.ts';

export interface ReportOptions {
  /** The database as the reader knows it. */
  readonly source: string;
  /** Milliseconds since 1970. */
  readonly created_at: number;
  /** The program that made it, with its version. */
  readonly program: string;
  readonly verification: Verification;
  /** What signatures were checked with. */
  readonly trust: ReportTrust;
  readonly selection: Selection;
  /** How many lines the timeline has at most. */
  readonly timeline_rows?: number;
}

const defaultTimelineRows = 500;

/** The page in pieces; `tally` is told how many entries it is about. @throws FabricError UNAVAILABLE when the database cannot be read, INVALID_REQUEST for a wrong time */
export function* auditReport(
  sqlite: Sqlite.Database,
  options: ReportOptions,
  tally: { entries: number } = { entries: 0 },
): Generator<string> {
  // All that is read is of one moment, also while a witness writes.
  sqlite.exec('BEGIN');
  try {
    yield* pieces(sqlite, options, tally);
  } catch (error) {
    if (error instanceof FabricError) throw error;
    throw new FabricError(
      'UNAVAILABLE',
      `${options.source} cannot be read: ${String(error)}; \`infrafabric witness verify\` says more`,
      undefined,
      { cause: error },
    );
  } finally {
    if (sqlite.inTransaction) sqlite.exec('COMMIT');
  }
}

function* pieces(sqlite: Sqlite.Database, options: ReportOptions, tally: { entries: number }): Generator<string> {
  const { source, created_at, program, verification, trust, selection } = options;
  const facts = reportFacts(sqlite, selection);
  const entries = facts.chains.reduce((sum, chain) => sum + chain.entries, 0);
  tally.entries = entries;
  const costs = costReports(sqlite, ['swarm', 'model', 'day'], selection);
  yield `<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n${html`<meta http-equiv="Content-Security-Policy" content="${contentPolicy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="${program}">
<title>Audit report, ${timeText(created_at).slice(0, 10)}</title>`}\n<style>${reportStyle}</style>\n</head>\n<body>\n`;
  yield html`<header><h1>Audit report</h1><p class="sub">Made by ${program} on <time>${timeText(created_at)}</time> from <code>${source}</code>. All times are UTC.</p></header>\n`.toString();
  yield verdict(verification, trust).toString();
  yield summarySection(facts, costs, selection, prunedChains(sqlite)).toString();
  yield verificationSection(verification, trust).toString();
  yield costSection(costs).toString();
  yield swarmSection(facts).toString();
  yield taskSection(facts).toString();
  yield eventSection(facts).toString();
  const rows = timelineOf(sqlite, selection, options.timeline_rows ?? defaultTimelineRows);
  yield timelineSection(rows, entries).toString();
  yield '</body>\n</html>\n';
}
