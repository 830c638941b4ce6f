import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  describeMirror,
  parseDeb822,
  parseOneLine,
  readDebianSources,
  sourceList,
} from '../../src/cluster/debian-sources.ts';
import { tempDir } from '../support/temp.ts';

const mirror = 'http://mirror.example/debian';
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

describe('apt source entries in deb822 format', () => {
  it('give the mirror of Debian main and how it is trusted', () => {
    const text = `Types: deb\n# a note\nURIs: ${mirror}\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: ${keyring}\n`;
    expect(parseDeb822(text)).toEqual([{ uris: mirror, signedBy: keyring }]);
  });

  it('give nothing for security, other vendors, source packages, and entries that are off', () => {
    const entry = (fields: Record<string, string>): string =>
      Object.entries({ Types: 'deb', URIs: mirror, Suites: 'trixie', Components: 'main', ...fields })
        .map(([name, value]) => `${name}: ${value}`)
        .join('\n');
    const others = [
      entry({ Suites: 'trixie-security' }),
      entry({ Suites: 'nodistro' }),
      entry({ Components: 'contrib' }),
      entry({ Types: 'deb-src' }),
      entry({ Enabled: 'no' }),
    ];
    expect(parseDeb822(others.join('\n\n'))).toEqual([]);
    expect(parseDeb822([...others, entry({})].join('\n \n'))).toEqual([{ uris: mirror }]);
  });

  it('keep a key that is written into the entry itself, in what is made of them', () => {
    const key = '\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----';
    const [source] = parseDeb822(
      `Types: deb\nURIs: ${mirror}\nSuites: sid\nComponents: main contrib\nSigned-By:${key}\n`,
    );
    expect(source && sourceList(source, 'sid')).toBe(
      `Types: deb\nURIs: ${mirror}\nSuites: sid\nComponents: main\nSigned-By: ${key}\n`,
    );
  });
});

describe('apt source entries of one line', () => {
  it('give the mirror, with options or without', () => {
    const text = [
      `deb ${mirror} bookworm main contrib # all of it`,
      `deb [arch=amd64 signed-by=${keyring}] https://other.example/debian/ stable main`,
      `deb-src ${mirror} bookworm main`,
      `# deb ${mirror} bookworm main`,
      'deb https://vendor.example/apt vendor main',
      `deb ${mirror}-security bookworm-security main`,
    ].join('\n');
    expect(parseOneLine(text)).toEqual([
      { uris: mirror },
      { uris: 'https://other.example/debian/', signedBy: keyring },
    ]);
  });
});

describe('the entries of a machine', () => {
  let remove = async (): Promise<void> => {};
  afterEach(() => remove());

  it('are read from all places, mirrors named debian first, each once', async () => {
    const dir = await tempDir();
    remove = dir.remove;
    await mkdir(join(dir.path, 'sources.list.d'));
    await writeFile(join(dir.path, 'sources.list'), 'deb https://vendor.example/tool stable main\n');
    const stanza = `Types: deb\nURIs: ${mirror}\nSuites: bookworm\nComponents: main\n`;
    await writeFile(join(dir.path, 'sources.list.d/debian.sources'), stanza);
    await writeFile(join(dir.path, 'sources.list.d/again.list'), `deb ${mirror} bookworm main\n`);
    await writeFile(join(dir.path, 'sources.list.d/note.txt'), 'deb https://note.example/debian sid main\n');
    const sources = await readDebianSources(dir.path);
    expect(sources.map((source) => source.uris)).toEqual([mirror, 'https://vendor.example/tool']);
  });

  it('are none where there is no apt', async () => {
    expect(await readDebianSources('/nonexistent')).toEqual([]);
  });

  it('are shown without the password of a mirror', () => {
    expect(describeMirror({ uris: 'https://me:secret@mirror.example/debian' })).toBe('https://mirror.example/debian');
  });
});
