/**
 * Reads a machine's own apt source entries and finds those of Debian itself, so that a package can be taken from the
 * mirror that the machine already trusts and reaches. Both formats of apt are read: deb822 (`*.sources`) and one-line
 * (`*.list`).
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** One entry for `main` of Debian: where it is and how it is trusted, exactly as the machine's entry says. */
export interface DebianSource {
  /** One or more URIs, separated by spaces. */
  readonly uris: string;
  /** `Signed-By`: the path of a keyring, or a key itself with deb822 continuation lines. */
  readonly signedBy?: string;
  /** `Trusted`: set by administrators of mirrors without signatures. */
  readonly trusted?: string;
}

const suites = new Set(
  'sid unstable testing stable oldstable oldoldstable buster bullseye bookworm trixie forky duke'.split(' '),
);

/** All entries of Debian main below `aptDir` (normally /etc/apt), the most likely first, each mirror once. */
export async function readDebianSources(aptDir: string): Promise<DebianSource[]> {
  const parts = join(aptDir, 'sources.list.d');
  const names = (await readdir(parts).catch(() => [])).sort().map((name) => join(parts, name));
  const found: DebianSource[] = [];
  for (const file of [join(aptDir, 'sources.list'), ...names]) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (file.endsWith('.sources')) found.push(...parseDeb822(text));
    else if (file.endsWith('.list')) found.push(...parseOneLine(text));
  }
  const mirrors = new Map(found.map((source) => [source.uris, source]));
  // Another vendor may use the name of a Debian suite and `main`; the mirrors proper nearly always end in /debian.
  return [...mirrors.values()].sort((a, b) => Number(looksLikeDebian(b.uris)) - Number(looksLikeDebian(a.uris)));
}

/** Entries of Debian main in deb822 text: stanzas of `Field: value`, continued on lines that begin with a blank. */
export function parseDeb822(text: string): DebianSource[] {
  const found: DebianSource[] = [];
  for (const stanza of text.split(/\n[ \t]*\n/)) {
    const fields = new Map<string, string>();
    let name = '';
    for (const line of stanza.split('\n')) {
      if (line.startsWith('#')) continue;
      const field = /^([A-Za-z][A-Za-z0-9-]*):(.*)$/.exec(line);
      if (field?.[1] !== undefined && field[2] !== undefined) {
        name = field[1].toLowerCase();
        fields.set(name, field[2].trim());
      } else if (name !== '' && /^[ \t]/.test(line)) {
        fields.set(name, `${fields.get(name)}\n${line}`);
      }
    }
    const words = (field: string): string[] => (fields.get(field) ?? '').split(/\s+/).filter((word) => word !== '');
    if (/^(no|false|off|0|disable)$/i.test(fields.get('enabled') ?? 'yes')) continue;
    if (!words('types').includes('deb') || !isDebianMain(words('uris'), words('suites'), words('components'))) continue;
    found.push(source(words('uris').join(' '), fields.get('signed-by'), fields.get('trusted')));
  }
  return found;
}

/** Entries of Debian main in one-line text: `deb [option=value ...] uri suite component...`. */
export function parseOneLine(text: string): DebianSource[] {
  const found: DebianSource[] = [];
  for (const line of text.split('\n')) {
    const entry = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]*)/.exec(line);
    if (!entry?.[2] || !entry[3]) continue;
    if (!isDebianMain([entry[2]], [entry[3]], (entry[4] ?? '').trim().split(/\s+/))) continue;
    const option = (name: string): string | undefined =>
      new RegExp(`(?:^|\\s)${name}=(\\S+)`, 'i').exec(entry[1] ?? '')?.[1];
    found.push(source(entry[2], option('signed-by'), option('trusted')));
  }
  return found;
}

/** A private deb822 source list for one suite of the mirror. */
export function sourceList(source: DebianSource, suite: string): string {
  const lines = ['Types: deb', `URIs: ${source.uris}`, `Suites: ${suite}`, 'Components: main'];
  if (source.signedBy) lines.push(`Signed-By: ${source.signedBy}`);
  if (source.trusted) lines.push(`Trusted: ${source.trusted}`);
  return `${lines.join('\n')}\n`;
}

/** The mirror as it may be shown: without a user name or password. */
export function describeMirror(source: DebianSource): string {
  return source.uris.replaceAll(/\/\/[^/@\s]*@/g, '//');
}

function source(uris: string, signedBy: string | undefined, trusted: string | undefined): DebianSource {
  return { uris, ...(signedBy ? { signedBy } : {}), ...(trusted ? { trusted } : {}) };
}

function isDebianMain(uris: string[], names: string[], components: string[]): boolean {
  // Security and backports archives hold some packages only and have no sid.
  return uris.length > 0 && components.includes('main') && names.some((name) => suites.has(name));
}

function looksLikeDebian(uris: string): boolean {
  return /\/debian\/?(?:\s|$)/.test(uris);
}
