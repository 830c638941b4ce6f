/**
 * For an end that leaves no time to stop in order, such as a second Ctrl-C: kills every child of this process and removes
 * the demo's folder, without waiting for anything.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';

/** Takes effect when this process exits; the function that is returned takes it back. With `keep`, the folder stays. */
export function cleanUpOnExit(folder: string, keep: boolean): () => void {
  const cleanUp = () => {
    for (const pid of children()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    }
    if (!keep) rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
  };
  process.once('exit', cleanUp);
  return () => process.off('exit', cleanUp);
}

/** Process ids of the direct children, where the system lists processes as files; elsewhere none. */
function children(): number[] {
  let names: string[] = [];
  try {
    names = readdirSync('/proc');
  } catch {
    return [];
  }
  return names.flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      // The name in parentheses may hold anything; after it come state and parent.
      const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(parent) === process.pid ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}
