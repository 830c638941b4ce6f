/** A service of the fabric as a child process. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.ts';
import type { ServiceInstructions } from '../service-instructions.ts';
import type { StartChild } from '../supervisor/child.ts';
import { processChild } from '../supervisor/process-child.ts';

/** What all services of a fabric are told. */
export type Instructions = Omit<ServiceInstructions, 'instance'>;

/**
 * `instructions` may come later than the process, which loads its service meanwhile.
 * @throws Error when the package was not built
 */
export function serviceChild(
  service: string,
  instance: string,
  dataDir: string,
  instructions: Promise<Instructions>,
): StartChild {
  const program = join(packageRoot(), 'dist', 'actors', 'service-process.js');
  if (!existsSync(program)) throw new Error(`${program} is missing; build the package with \`npm run build\``);
  return processChild<ServiceInstructions>({
    program,
    args: [service, instance],
    instructions: async () => ({ ...(await instructions), instance }),
    logFile: join(dataDir, 'logs', `${instance}.log`),
  });
}
