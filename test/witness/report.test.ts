import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { escapeText } from '../../src/witness/report/html.ts';
import { auditReport, type ReportOptions } from '../../src/witness/report/report.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { actorMessage, actorMessages, actors, journalMessage, never, startedAt, taskRecord } from './messages.ts';

let dir: TempDir;
let path: string;
let witness: WitnessDatabase;
beforeEach(async () => {
  dir = await tempDir();
  path = join(dir.path, 'witness.db');
  witness = WitnessDatabase.open(path);
});
afterEach(async () => {
  witness.close();
  await dir.remove();
});

async function report(options: Partial<ReportOptions> = {}): Promise<string> {
  const whole: ReportOptions = {
    source: path,
    created_at: startedAt,
    program: 'InfraFabric test',
    verification: await verifyDatabase(path),
    trust: { fingerprints: [], checkpoints: 0, newest_at: null },
    selection: {},
    ...options,
  };
  return [...auditReport(witness.sqlite, whole)].join('');
}

/** What the page shows of a section, without its tags. */
function section(page: string, title: string): string {
  const [, rest = ''] = page.split(`<h2>${title}</h2>`);
  return (rest.split('</section>')[0] ?? '').replace(/<title>[^<]*<\/title>/g, '').replace(/<[^>]*>/g, ' ');
}

const words = (page: string, title: string) => section(page, title).replace(/\s+/g, ' ');

describe('an audit report', () => {
  it('sums up entries, swarms, tasks by state, costs and the span of time', async () => {
    witness.appendBatch(actors, actorMessages(1, 40), never);
    const page = await report();
    expect(words(page, 'Summary')).toContain(
      'Entries 40 Swarms 3 Tasks 10 Tasks claimed 10 Cost $2.50 Tokens in 12,000 Tokens out 800',
    );
    expect(words(page, 'Summary')).toContain('Entries from 2025-11-21 04:40:00.001');
    expect(words(page, 'Cost')).toMatch(/Cost by swarm .*swarm-1 \$1\.00/);
    expect(words(page, 'Tasks')).toContain('t-9');
    expect(words(page, 'Events')).toContain('IF.coordinator COMPLETE 10');
    expect(page).toContain('Verified: the history is whole and unaltered.');
  });

  it('shows the state of a task as of its last selected entry', async () => {
    const states = ['available', 'claimed', 'completed'];
    const messages = states.map((value, at) =>
      actorMessage(
        at + 1,
        taskRecord(at + 1, { snapshot: { status: 'active', value, context: { task_type: 'review' } } }),
      ),
    );
    witness.appendBatch(actors, messages, never);
    expect(words(await report(), 'Tasks')).toContain('t-0 review completed');
    expect(words(await report({ selection: { until: startedAt + 2 } }), 'Tasks')).toContain('t-0 review claimed');
  });

  it('says with which key and against how many checkpoints it was verified, and what was not', async () => {
    witness.appendBatch(actors, actorMessages(1, 4), never);
    const without = await report();
    expect(without).toContain('Checked against its own hashes only.');
    expect(words(without, 'Verification')).toContain('Trusted key none');
    const trust = { fingerprints: ['SHA256:abc'], checkpoints: 2, newest_at: startedAt };
    const page = await report({ trust });
    expect(page).toContain('Held against 2 signed checkpoints, the newest of 2025-11-21 04:40:00.000.');
    expect(words(page, 'Verification')).toContain('SHA256:abc');
  });

  it('names every fault of a history that does not verify', async () => {
    witness.appendBatch(actors, actorMessages(1, 8), never);
    witness.sqlite.exec("UPDATE entries SET event = 'FORGED' WHERE seq = 5");
    const page = await report();
    expect(page).toMatch(/class="verdict bad"[^>]*>Verification failed/);
    expect(words(page, 'Faults')).toMatch(/IF_actors\/1 5 HASH_MISMATCH/);
  });

  it('of an empty history is a whole page too', async () => {
    const page = await report();
    expect(page).toMatch(/<\/html>\n$/);
    for (const said of ['No entry tells a cost', 'No task is in these entries', 'No entries.'])
      expect(page).toContain(said);
  });

  it('shows the newest entries in order, and says how many it leaves out', async () => {
    witness.appendBatch(actors, actorMessages(1, 40), never);
    const timeline = words(await report({ timeline_rows: 3 }), 'Timeline');
    expect(timeline).toContain('The last 3 of 40 entries; 37 earlier ones are left out.');
    expect([...timeline.matchAll(/IF_actors\/1\/(\d+)/g)].map(([, seq]) => seq)).toEqual(['38', '39', '40']);
  });

  it('is about the selected entries, and says which', async () => {
    witness.appendBatch(actors, actorMessages(1, 40), never);
    const summary = words(await report({ selection: { swarm_id: 'swarm-1', since: startedAt } }), 'Summary');
    expect(summary).toContain('Entries 14 Swarms 1');
    expect(summary).toContain('Selected swarm_id swarm-1, since 2025-11-21 04:40:00.000');
  });

  it('says what was pruned', async () => {
    witness.appendBatch(actors, actorMessages(1, 4), never);
    witness.sqlite.exec(
      "CREATE TABLE pruned (chain TEXT, seq INTEGER); INSERT INTO pruned VALUES ('IF_actors/1', 1200)",
    );
    const verification = { ok: true, chains: [] };
    expect(words(await report({ verification }), 'Summary')).toContain(
      'IF_actors/1: the entries up to 1,200 were removed',
    );
  });
});

describe('the page', () => {
  const attacks = [
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '</style><script>alert(1)</script>',
    '</svg></title><script>alert(1)</script>',
    '&lt;script&gt;',
    '<!-- ',
    '\u202ereversed\u2066',
    '\u0000\u001b[2J',
  ];

  /** A page of a history in which agents wrote this text wherever they can. */
  async function pageWith(text: string): Promise<string> {
    const own = WitnessDatabase.open(join(dir.path, 'own.db'));
    try {
      const note = { event: text, component: text, by: text, trace_id: text, payload: { [text]: text } };
      own.appendBatch('IF_journal/1', [journalMessage(1, { ...note, cost: { cost_usd: 1, model: text } })], never);
      const context = { task_type: text, owner: text, attempt: text, created_at: text, cost: { cost_usd: text } };
      const snapshot = { status: 'active' as const, value: text, context };
      own.appendBatch(actors, [actorMessage(1, taskRecord(1, { id: text, by: text, snapshot }))], never);
      const errors = [{ seq: 1, code: 'HASH_MISMATCH', message: text }];
      const chain = {
        chain: text,
        entries: 1,
        first_seq: 1,
        last_seq: 1,
        head_hash: text,
        pruned_through: null,
        gaps: 0,
        errors,
      };
      const options = {
        source: text,
        created_at: startedAt,
        program: text,
        verification: { ok: false, chains: [chain] } as unknown as ReportOptions['verification'],
        trust: { fingerprints: [text], checkpoints: 1, newest_at: null },
        selection: { until: startedAt + 10 },
      };
      return [...auditReport(own.sqlite, options)].join('');
    } finally {
      own.sqlite.exec('DELETE FROM entries');
      own.close();
    }
  }

  it.each(attacks)('shows %j as text wherever an agent can write it', async (attack) => {
    const page = await pageWith(attack);
    expect(tagsOf(page)).toEqual(tagsOf(await pageWith('harmless')));
    expect(page).toContain(escapeText(attack));
    expect(page).not.toMatch(/<script|<img|<!--/i);
    expect(page).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u);
  });

  it('loads nothing and runs nothing: its policy lets its own style through and no more', async () => {
    const page = await report();
    const [, policy = ''] = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page) ?? [];
    const [, style = ''] = /<style>(.*?)<\/style>/s.exec(page) ?? [];
    const hash = createHash('sha256').update(style).digest('base64');
    expect(policy.replaceAll('&#39;', "'")).toBe(
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`,
    );
    expect(page).not.toMatch(/<script|<link|<iframe|\bsrc=|\bhref=|url\(|@import|\sstyle=/i);
    expect(page.indexOf('Content-Security-Policy')).toBeLessThan(page.indexOf('<style>'));
  });

  it('has a style for paper', async () => {
    expect(await report()).toMatch(/@media print.*table-header-group/s);
  });
});

/** The tags of a page in order, with the names of their attributes: what text could only change by being obeyed. */
function tagsOf(page: string): string[] {
  return [...page.matchAll(/<[^<>]*>/g)].map(([tag]) => tag.replace(/"[^"]*"/g, '""'));
}
