/**
 * The audit report in a real browser, Debian's chromium or the one that `IF_CHROMIUM` names: whatever agents wrote, the
 * browser shows it and obeys none of it, on a screen and on paper. Without a browser the test is skipped.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { auditReport, type ReportOptions } from '../../src/witness/report/report.ts';
import { verifyDatabase } from '../../src/witness/verify/verify.ts';
import { type TempDir, tempDir, until } from '../support/temp.ts';
import { actorMessage, actors, journalMessage, never, startedAt, taskRecord } from './messages.ts';

const browser = process.env['IF_CHROMIUM'] ?? '/usr/bin/chromium';
const refusal = existsSync(browser) ? undefined : `${browser} is not there; IF_CHROMIUM names another`;

let dir: TempDir;
/** What the browser writes, also as its home. */
let profile: string;
beforeEach(async () => {
  dir = await tempDir();
  profile = join(dir.path, 'profile');
  await mkdir(profile);
});
afterEach(async () => await dir.remove());

/** Processes whose command line names the profile: the browser, and the helpers that it starts. */
async function browserProcesses(): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(
    pids.map(async (pid) => await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );
  return pids.filter((_, index) => lines[index]?.includes(profile)).map(Number);
}

/** Runs the browser on a file to its end, and that of its helpers; gives what it printed. */
async function browse(file: string, ...options: string[]): Promise<string> {
  const args = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-background-networking',
    '--disable-dev-shm-usage',
  ];
  const child = spawn(browser, [...args, `--user-data-dir=${profile}`, ...options, pathToFileURL(file).href], {
    env: { ...process.env, HOME: profile, TMPDIR: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let printed = '';
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const closed = once(child, 'close');
  const overdue = setTimeout(() => child.kill('SIGKILL'), 40_000);
  try {
    const [code, signal] = await closed;
    if (code !== 0) throw new Error(`the browser ended (${code ?? signal}): ${said.slice(-2_000)}`);
    return printed;
  } finally {
    clearTimeout(overdue);
    // Helpers end a moment after the browser; by themselves, unless it was killed.
    await until(
      'the helpers of the browser have ended',
      async () => (await browserProcesses()).length === 0,
      5_000,
    ).catch(async () => {
      for (const pid of await browserProcesses()) process.kill(pid, 'SIGKILL');
    });
    await until('no process of the browser is left', async () => (await browserProcesses()).length === 0);
  }
}

/** Does what an attack would do, so that the page shows whether any ran. */
const run = `document.title='RAN';document.body.appendChild(document.createElement('ran'))`;
const attacks = [
  `<script>${run}</script>`,
  `</style><script>${run}</script>`,
  `</title></svg></td></table><script>${run}</script>`,
  `<img src=x onerror="${run}">`,
  `"><img src=x onerror="${run}">`,
  `' onmouseover='${run}' autofocus onfocus='${run}`,
  `<svg onload="${run}"><animate onbegin="${run}" attributeName=x dur=1s>`,
  `<body onload="${run}">`,
  `<iframe srcdoc="<script>parent.${run}</script>"></iframe>`,
  `<a href="javascript:${run}">x</a>`,
  `<meta http-equiv="refresh" content="0;url=javascript:${run}">`,
  `<base href="javascript:/"><form action="javascript:${run}"><input autofocus onfocus="${run}">`,
  `<link rel=stylesheet href="data:text/css,*{display:none}"><style>*{display:none}</style>`,
  `<!-- <plaintext> <![CDATA[ <noscript>`,
  `javascript:${run}`,
  '&lt;b&gt; \u202eübersetzt\u2066 日本 🐝 \u0000\u001b[2J \uFEFF',
];
const fingerprint = 'SHA256:0123456789abcdef';

/** A history in which agents wrote these texts wherever they can, and its report. */
function writeReport(texts: readonly string[]): string {
  const path = join(dir.path, 'witness.db');
  const witness = WitnessDatabase.open(path);
  try {
    witness.appendBatch(
      actors,
      texts.map((text, at) => {
        const context = { task_type: text, owner: text, metadata: { [text]: text }, cost: { cost_usd: 0.5 } };
        const snapshot = { status: 'active' as const, value: text, context };
        const event = { id: `e-${at}`, type: text, reason: text, cost: { cost_usd: at + 0.5, model: text } };
        return actorMessage(at + 1, taskRecord(1, { id: `${text} ${at}`, by: text, trace_id: text, event, snapshot }));
      }),
      never,
    );
    witness.appendBatch(
      'IF_journal/1',
      texts.map((text, at) => {
        const note = { event: text, component: text, by: text, trace_id: text, payload: { [text]: text } };
        return journalMessage(at + 1, { ...note, cost: { cost_usd: 1, tokens_in: 3, tokens_out: 4, model: text } });
      }),
      never,
    );
    const options: ReportOptions = {
      source: texts[0] ?? path,
      created_at: startedAt,
      program: texts[1] ?? 'InfraFabric',
      verification: verifyDatabase(path),
      trust: { fingerprints: [fingerprint, ...texts], checkpoints: 1, newest_at: startedAt },
      selection: { until: startedAt + 1_000_000 },
    };
    return [...auditReport(witness.sqlite, options)].join('');
  } finally {
    witness.close();
  }
}

async function fileOf(page: string): Promise<string> {
  const file = join(dir.path, 'report.html');
  await writeFile(file, page);
  return file;
}

const textOf = (html: string) =>
  html
    .replace(/<[^>]*>/g, ' ')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');

describe.skipIf(refusal !== undefined)(`an audit report in a browser${refusal ? ` (skipped: ${refusal})` : ''}`, () => {
  it('runs nothing that agents wrote, and shows all of it as text', async () => {
    // The browser does run it where it is markup, so that this test would see it.
    for (const attack of [attacks[0], attacks[3]]) {
      const obeyed = await browse(await fileOf(`<!doctype html><title>a</title><body>${attack}</body>`), '--dump-dom');
      expect(obeyed).toMatch(/<title>RAN<\/title>[\s\S]*<ran>/);
    }
    const dom = await browse(await fileOf(writeReport(attacks)), '--dump-dom');
    expect(dom).toContain('<title>Audit report, 2025-11-21</title>');
    const tags = new Set([...dom.matchAll(/<([a-z][^\s/>]*)/gi)].map(([, name]) => name?.toLowerCase()));
    for (const tag of ['ran', 'script', 'img', 'iframe', 'a', 'base', 'form', 'input', 'link', 'animate', 'plaintext'])
      expect(tags, tag).not.toContain(tag);
    expect(dom.match(/<(style|body|head|meta charset|title>Audit)[ >=,]/g)).toHaveLength(5);
    // Between the tags there is no attribute that acts, whatever it is called.
    const attributes = [...dom.matchAll(/<[a-z][^>]*>/gi)].map(([tag]) => tag.replace(/"[^"]*"/g, '""')).join('\n');
    expect(attributes).not.toMatch(/\s(on\w+|href|src|srcdoc|action|style)=/i);
    for (const attack of attacks.slice(0, -1)) expect(textOf(dom).replaceAll('&quot;', '"')).toContain(attack);
    expect(dom).toContain('\\u{202e}übersetzt\\u{2066} 日本 🐝 \\u{0}\\u{1b}[2J \\u{feff}');
  });

  it('has its summary, verification, chart and timeline, in its own style', async () => {
    const page = writeReport(attacks);
    const dom = await browse(await fileOf(page), '--dump-dom');
    expect([...dom.matchAll(/<section><h2>([^<]*)<\/h2>/g)].map(([, title]) => title)).toEqual([
      'Summary',
      'Verification',
      'Cost',
      'Swarms',
      'Tasks',
      'Events',
      'Timeline',
    ]);
    const section = (title: string) => dom.split(`<h2>${title}</h2>`)[1]?.split('</section>')[0] ?? '';
    expect(textOf(section('Summary'))).toMatch(/Entries\s+32\s.*Tasks\s+16\s/s);
    expect(section('Verification')).toContain(`<code>${fingerprint}</code>`);
    expect(dom).toContain('Verified: the history is whole and unaltered.');
    expect(section('Cost').match(/<svg [^>]*role="img"[^>]*>/g)?.length).toBeGreaterThan(0);
    expect(section('Cost').match(/<rect class="bar"[^>]*width="[1-9]/g)?.length).toBeGreaterThan(3);
    expect(section('Timeline').match(/<tr>/g)).toHaveLength(1 + 2 * attacks.length);
    // The style is applied: its policy names it by its hash, and a changed one is left out of what is laid out.
    const printed = async (html: string) => await pdfOf(html);
    const [styled, changed] = [await printed(page), await printed(page.replace('@media print', ' @media print'))];
    expect(pagesOf(styled)).toBeGreaterThan(0);
    expect(Math.abs(styled.length - changed.length)).toBeGreaterThan(1_000);
  });

  it('is printed, with all of its pages', async () => {
    const short = await pdfOf(writeReport(['plain']));
    expect(pagesOf(short)).toBeGreaterThanOrEqual(1);
    expect(short.length).toBeGreaterThan(5_000);
  });
});

async function pdfOf(page: string): Promise<Buffer> {
  const pdf = join(dir.path, 'report.pdf');
  await browse(await fileOf(page), `--print-to-pdf=${pdf}`, '--no-pdf-header-footer');
  return await readFile(pdf);
}

/** How many pages a PDF says it has. */
function pagesOf(pdf: Buffer): number {
  const text = pdf.toString('latin1');
  expect(text).toMatch(/^%PDF-1\.\d[\s\S]*%%EOF\s*$/);
  return (text.match(/\/Type\s*\/Page\b(?!s)/g) ?? []).length;
}
