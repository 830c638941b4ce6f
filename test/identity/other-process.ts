/** Does one thing with an identity in a process of its own and returns what it printed. */
import { ended, firstLine, spawnTypeScript } from '../support/child.ts';

const program = new URL('./identity-program.ts', import.meta.url);

export async function inOtherProcess(dir: string, action: string, argument = ''): Promise<unknown> {
  const child = spawnTypeScript(program, [dir, action, argument]);
  const exit = ended(child);
  const line = await firstLine(child);
  await exit;
  return JSON.parse(line);
}
