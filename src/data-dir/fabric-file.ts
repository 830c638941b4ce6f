/** `DIR/fabric.json`: where a running fabric is. Written when everything answers, removed when it stops. */
import { randomUUID } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { FabricError } from '../errors.ts';

const schema = z.object({
  pid: z.int(),
  namespace: z.string(),
  servers: z.array(z.string()),
  console_url: z.string().nullable(),
  metrics_url: z.string().nullable(),
  version: z.string(),
  /** Milliseconds since 1970. */
  started_at: z.number(),
});

export type FabricFile = z.infer<typeof schema>;

function pathIn(dataDir: string): string {
  return join(dataDir, 'fabric.json');
}

export async function writeFabricFile(dataDir: string, content: FabricFile): Promise<void> {
  const path = pathIn(dataDir);
  const temporary = `${path}.${randomUUID()}`;
  await writeFile(temporary, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  await rename(temporary, path);
}

/** Undefined when no fabric runs from this directory. @throws FabricError INVALID_REQUEST when the file is damaged */
export async function readFabricFile(dataDir: string): Promise<FabricFile | undefined> {
  const path = pathIn(dataDir);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new FabricError('INVALID_REQUEST', `${path} is damaged; remove it, and start the fabric again`, undefined, {
      cause: error,
    });
  }
}

export async function removeFabricFile(dataDir: string): Promise<void> {
  await rm(pathIn(dataDir), { force: true });
}
