/** The version of this package, from its package.json. */
import { readFileSync } from 'node:fs';
import { packageRoot } from './package-root.ts';

export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(`${packageRoot()}/package.json`, 'utf8')) as { version: string };
  return version;
}
