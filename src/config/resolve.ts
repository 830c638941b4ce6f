/**
 * Decides every setting: flags over environment over configuration file over built-in default. The source of each value
 * is kept, so that `infrafabric doctor` can say where a value comes from. Nothing is read but what the caller hands in
 * and the one file.
 */
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import type { Json } from '../../machines/record.ts';
import { FabricError } from '../errors.ts';
import { defaultConfigFile, readConfigFile } from './file.ts';
import { type Config, configSchema, envOf, flagOf, type SettingKey, settingKeys, settings } from './settings.ts';

export interface ConfigInput {
  /** By setting, as `data_dir`, `data-dir` or `dataDir`; undefined values and flags that are no settings are passed over. */
  readonly flags: Partial<Record<string, unknown>>;
  /** An empty variable counts as not set. */
  readonly env: NodeJS.ProcessEnv;
  /** Relative paths of flags, environment and defaults start here; those of a file start in the file's folder. */
  readonly cwd: string;
  /** The value of `--config`; else `IF_CONFIG`; else `infrafabric.yaml` in `cwd`, if there is one. */
  readonly configFile?: string;
}

export interface SettingSource {
  readonly key: SettingKey;
  /** The value in use; null when there is none. */
  readonly value: Json;
  /** `flag --x`, `env IF_X`, `file PATH` or `default`. */
  readonly source: string;
}

export interface ResolvedConfig {
  readonly config: Config;
  /** One per setting, in the order of the table. Holds no secrets: `creds` is a path. */
  readonly sources: readonly SettingSource[];
}

interface Found {
  readonly raw: unknown;
  readonly source: string;
  readonly base: string;
}

interface ConfigFile {
  readonly path: string;
  readonly values: ReadonlyMap<SettingKey, unknown>;
}

/** @throws FabricError INVALID_REQUEST that names key, value received, source and what is allowed, for all bad values at once. */
export async function resolveConfig(input: ConfigInput): Promise<ResolvedConfig> {
  const file = await findFile(input);
  const flags = new Map(Object.entries(input.flags).map(([name, value]) => [snakeCase(name), value]));
  const home = input.env['HOME'] || homedir();

  const found = new Map(settingKeys.map((key) => [key, find(key, flags, input, file)]));
  const values = Object.fromEntries([...found].map(([key, { raw, source }]) => [key, fromText(key, raw, source)]));
  const checked = configSchema.safeParse(values);
  if (!checked.success) throw refuse(new Set(checked.error.issues.map((issue) => issue.path[0] as SettingKey)), found);

  for (const [key, { base }] of found) {
    const value = values[key];
    if (settings[key].kind === 'path' && typeof value === 'string') values[key] = absolute(value, base, home);
  }
  const sources = [...found].map(([key, { source }]) => ({ key, value: (values[key] ?? null) as Json, source }));
  return { config: values as unknown as Config, sources };
}

async function findFile({ env, cwd, configFile }: ConfigInput): Promise<ConfigFile | undefined> {
  const named = configFile ?? (env['IF_CONFIG'] || undefined);
  const path = resolve(cwd, named ?? defaultConfigFile);
  const values = await readConfigFile(path);
  if (values) return { path, values };
  if (named === undefined) return undefined;
  const source = configFile === undefined ? 'env IF_CONFIG' : 'flag --config';
  throw new FabricError(
    'INVALID_REQUEST',
    `there is no configuration file ${path} (${source}): create it, or name another`,
    { file: path },
  );
}

function find(
  key: SettingKey,
  flags: ReadonlyMap<string, unknown>,
  { env, cwd }: ConfigInput,
  file: ConfigFile | undefined,
): Found {
  const flag = flags.get(key);
  if (flag !== undefined) return { raw: flag, source: `flag ${flagOf(key)}`, base: cwd };
  const variable = env[envOf(key)];
  if (variable) return { raw: variable, source: `env ${envOf(key)}`, base: cwd };
  if (file?.values.has(key))
    return { raw: file.values.get(key), source: `file ${file.path}`, base: dirname(file.path) };
  return { raw: settings[key].fallback, source: 'default', base: cwd };
}

/** Flags and environment bring text. A file has types of its own, so its text is not turned into numbers. */
function fromText(key: SettingKey, raw: unknown, source: string): unknown {
  const { kind } = settings[key];
  if (kind === 'list') {
    // Both forms of a list may hold commas: a flag that was given twice arrives as an array.
    const parts =
      typeof raw === 'string'
        ? [raw]
        : Array.isArray(raw) && raw.every((part) => typeof part === 'string')
          ? raw
          : undefined;
    return parts?.flatMap((part) => (part.trim() === '' ? [] : part.split(',').map((item) => item.trim()))) ?? raw;
  }
  if (kind !== 'number' || typeof raw !== 'string' || source.startsWith('file ')) return raw;
  return /^-?\d{1,16}(?:\.\d{1,16})?$/.test(raw) ? Number(raw) : raw;
}

function absolute(path: string, base: string, home: string): string {
  return path === '~' || path.startsWith('~/') ? join(home, path.slice(1)) : resolve(base, path);
}

function snakeCase(name: string): string {
  return name.replaceAll('-', '_').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function refuse(keys: ReadonlySet<SettingKey>, found: ReadonlyMap<SettingKey, Found>): FabricError {
  const problems = [...keys].map((key) => {
    const { raw, source } = found.get(key)!;
    return { key, received: show(key, raw), source, allowed: settings[key].allowed };
  });
  const text = problems.map(
    ({ key, received, source, allowed }) => `${key} is ${received} (${source}); allowed: ${allowed}`,
  );
  return new FabricError('INVALID_REQUEST', `the configuration is not valid: ${text.join('. ')}`, { problems });
}

/** The value as JSON, cut to a length that fits a line. What looks like a server with a password is not shown. */
function show(key: SettingKey, raw: unknown): string {
  const text = JSON.stringify(raw instanceof Map ? Object.fromEntries(raw) : raw) ?? String(raw);
  if (settings[key].kind === 'list' && text.includes('@')) return 'a value with credentials, not shown';
  return text.length > 120 ? `${text.slice(0, 120)}...` : text;
}
