/**
 * Every setting of InfraFabric in one table: what it is for, what it may be, what it is when nobody says anything. The
 * schema, the names of flags and environment variables, the command line's help and docs/configuration.md come from it.
 */
import { z } from 'zod';
import { FabricError } from '../errors.ts';
import { Namespace } from '../namespace.ts';

/** How text from a flag or the environment becomes a value: as it is, as a number, or as a comma separated list. */
export type SettingKind = 'text' | 'path' | 'number' | 'list';

export interface Setting<T = unknown> {
  readonly kind: SettingKind;
  readonly schema: z.ZodType<T>;
  /** What is allowed, in words: part of error messages and of the documents. */
  readonly allowed: string;
  /** The built-in value; undefined means none. */
  readonly fallback: T;
  /** The name of the value in a usage line. */
  readonly placeholder: string;
  readonly help: string;
}

const day = 86_400_000;
const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

function whole(min: number, max: number, fallback: number, placeholder: string, help: string): Setting<number> {
  const schema = z.number().int().min(min).max(max);
  return { kind: 'number', schema, allowed: `a whole number from ${min} to ${max}`, fallback, placeholder, help };
}

function choice<const T extends string>(names: readonly T[], fallback: NoInfer<T>, help: string): Setting<T> {
  return {
    kind: 'text',
    schema: z.enum(names),
    allowed: names.join(', '),
    fallback,
    placeholder: names.join('|'),
    help,
  };
}

const pathSchema = z
  .string()
  .min(1)
  .refine((path) => !path.includes('\0'));

function path<T extends string | undefined>(fallback: T, placeholder: string, help: string): Setting<string | T> {
  return { kind: 'path', schema: pathSchema as z.ZodType<string | T>, allowed: 'a path', fallback, placeholder, help };
}

function isNamespace(name: string): boolean {
  try {
    return new Namespace(name).name === name;
  } catch (error) {
    if (error instanceof FabricError) return false;
    throw error;
  }
}

/** `host:port` or a URL of a NATS server. Credentials do not belong here: this table is shown by `infrafabric doctor`. */
function isServer(text: string): boolean {
  const address = text.includes('://') ? text : `nats://${text}`;
  if (!/^(?:nats|tls|ws|wss):\/\/[^\s@/?#]+\/?$/.test(address) || !URL.canParse(address)) return false;
  return new URL(address).hostname !== '';
}

const table = {
  data_dir: path(
    '.infrafabric',
    'DIR',
    'Keys, credentials, logs, the witness database and the address of a running fabric',
  ),
  namespace: {
    kind: 'text',
    schema: z.string().refine(isNamespace),
    allowed: 'a capital letter, then up to 15 capitals, digits or _',
    fallback: 'IF',
    placeholder: 'NAME',
    help: 'Which of the fabrics that share one NATS cluster this is',
  } satisfies Setting<string> as Setting<string>,
  servers: {
    kind: 'list',
    schema: z.array(z.string().refine(isServer)).max(64),
    allowed: 'up to 64 of host:port or nats://host:port (also tls, ws, wss), without user or password',
    fallback: [],
    placeholder: 'URL,...',
    help: 'An existing NATS cluster; none means the one that the data directory tells of, or the embedded one',
  } satisfies Setting<string[]> as Setting<string[]>,
  creds: path(
    undefined,
    'FILE',
    'NATS credentials to connect with; none means those of the operator in the data directory',
  ),
  nodes: {
    kind: 'number',
    schema: z.union([z.literal(1), z.literal(3)]),
    allowed: '1 or 3',
    fallback: 3,
    placeholder: '1|3',
    help: 'Nodes of the embedded cluster, and replicas of everything it stores',
  } satisfies Setting<1 | 3> as Setting<1 | 3>,
  storage: choice(
    ['memory', 'file'],
    'memory',
    'Where the nodes keep state; file survives the loss of all nodes and is slower',
  ),
  port: whole(0, 65_533, 0, 'N', 'First port of the nodes, which listen on N, N+1 and N+2; 0 means any free ports'),
  console_port: whole(0, 65_535, 0, 'N', 'Port of /metrics on the loopback interface; 0 means any free port'),
  policies: path(
    'policies',
    'DIR',
    'Where governor.yaml is, the policy of the governor; without it the built-in values hold',
  ),
  coordinators: whole(1, 16, 1, 'N', 'Coordinator processes that `infrafabric up` starts'),
  lease_ms: whole(1_000, day, 30_000, 'MS', 'Lease of a claimed task that asks for none of its own'),
  liveness_ms: whole(
    1_000,
    day,
    30_000,
    'MS',
    'A swarm without a request for so long is offline, and its tasks go back',
  ),
  request_timeout_ms: whole(100, 600_000, 30_000, 'MS', 'How long a client waits for an answer'),
  archive_after_ms: whole(
    0,
    365 * day,
    3_600_000,
    'MS',
    'How long finished actors stay in the store; the witness keeps them for good',
  ),
  restore: choice(
    ['auto', 'never'],
    'auto',
    'Whether a cluster that lost its memory gets back what the witness database holds',
  ),
  checkpoint_every_ms: whole(
    0,
    day,
    60_000,
    'MS',
    'How often the witness signs a checkpoint, if it has new entries; 0 means only when it stops and on demand',
  ),
  checkpoint_file: path(
    undefined,
    'FILE',
    'A file, best on another machine, to which the witness appends each checkpoint; none means only the data directory',
  ),
  witness_retain_ms: whole(
    0,
    100 * 365 * day,
    0,
    'MS',
    'Entries older than this are pruned from the witness database, behind a checkpoint; 0 means never',
  ),
  redact_keys: {
    kind: 'list',
    schema: z.array(z.string().min(1).max(128)).max(256),
    allowed: 'up to 256 names of fields',
    fallback: [
      'password',
      'passwd',
      'passphrase',
      'secret',
      'client_secret',
      'api_key',
      'apikey',
      'access_token',
      'refresh_token',
      'id_token',
      'authorization',
      'private_key',
      'cookie',
      'set_cookie',
    ],
    placeholder: 'NAME,...',
    help: 'Fields of this name, in whatever agents send as JSON, are redacted before anything is recorded; case and - or _ do not matter',
  } satisfies Setting<string[]> as Setting<string[]>,
  mailbox_max_age_ms: whole(
    1_000,
    365 * day,
    7 * day,
    'MS',
    'A mailbox message that is not acknowledged for so long is reported as undelivered and removed',
  ),
  max_log_bytes: whole(
    16_777_216,
    2 ** 50,
    2_147_483_648,
    'BYTES',
    'Size at which an audited stream refuses writes instead of dropping history',
  ),
  log_level: choice(logLevels, 'info', 'The least important messages that are logged'),
  cache_dir: path('~/.cache/infrafabric', 'DIR', 'Where a downloaded nats-server is kept'),
};

export type SettingKey = keyof typeof table;
/** The validated configuration. Paths are absolute. */
export type Config = { readonly [K in SettingKey]: z.output<(typeof table)[K]['schema']> };

export const settings: Readonly<{ [K in SettingKey]: Setting<Config[K]> }> = table;
export const settingKeys = Object.keys(table) as SettingKey[];

/** Whether a name is that of a setting, as it is written in a file. */
export function isSettingKey(name: string): name is SettingKey {
  return Object.hasOwn(table, name);
}

/** The flag of a setting: `data_dir` is `--data-dir`. */
export function flagOf(key: SettingKey): string {
  return `--${key.replaceAll('_', '-')}`;
}

/** The environment variable of a setting: `data_dir` is `IF_DATA_DIR`. */
export function envOf(key: SettingKey): string {
  return `IF_${key.toUpperCase()}`;
}

/** The one schema of a complete configuration. */
export const configSchema = z.strictObject(
  Object.fromEntries(
    settingKeys.map((key) => [
      key,
      table[key].fallback === undefined ? table[key].schema.optional() : table[key].schema,
    ]),
  ),
);
