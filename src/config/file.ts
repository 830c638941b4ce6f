/**
 * Reads a configuration file: YAML, strict, one mapping of known keys. Whatever is wrong with it is an error that names
 * the file and the place; nothing is skipped or guessed.
 */
import { parseDocument } from 'yaml';
import { readBoundedFile } from '../data/bounded-file.ts';
import { FabricError } from '../errors.ts';
import { nearest } from './nearest.ts';
import { isSettingKey, type SettingKey, settingKeys } from './settings.ts';

/** The file that is read from the working directory when none is named. */
export const defaultConfigFile = 'infrafabric.yaml';

/** A configuration file is a page of text; what is larger is something else. */
const maxFileBytes = 65_536;

function refuse(file: string, problem: string, cause?: unknown): FabricError {
  return new FabricError('INVALID_REQUEST', `the configuration file ${file} ${problem}`, { file }, { cause });
}

async function readText(file: string): Promise<string | undefined> {
  return await readBoundedFile(file, {
    maxBytes: maxFileBytes,
    refuse: (problem, cause) => refuse(file, problem, cause),
  });
}

function parse(file: string, text: string): unknown {
  const document = parseDocument(text, { version: '1.2', schema: 'core', strict: true, uniqueKeys: true });
  const problem = document.errors[0] ?? document.warnings[0];
  // Only the first line: the rest of the message shows the text of the file.
  if (problem) throw refuse(file, `is not valid YAML: ${problem.message.split('\n', 1)[0]?.replace(/:$/, '')}`);
  try {
    return document.toJS({ mapAsMap: true, maxAliasCount: 0 });
  } catch (error) {
    throw refuse(file, 'uses a YAML alias: write the value out', error);
  }
}

/**
 * The settings that a file makes, not yet validated; undefined when there is no such file.
 * @throws FabricError INVALID_REQUEST when it cannot be read, is not YAML, or holds an unknown key.
 */
export async function readConfigFile(file: string): Promise<Map<SettingKey, unknown> | undefined> {
  const text = await readText(file);
  if (text === undefined) return undefined;
  const content = parse(file, text);
  if (content === null) return new Map();
  if (!(content instanceof Map)) throw refuse(file, 'must be a mapping of settings, such as "storage: file"');
  const values = new Map<SettingKey, unknown>();
  for (const [key, value] of content as Map<unknown, unknown>) {
    const name = String(key);
    if (!isSettingKey(name)) {
      throw refuse(
        file,
        `has the unknown key ${JSON.stringify(name.slice(0, 64))}: the nearest valid key is ${nearest(name, settingKeys)}`,
      );
    }
    values.set(name, value);
  }
  return values;
}
