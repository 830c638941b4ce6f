/**
 * Cleans up after a test run that was interrupted: an interrupted run ends at once, and the servers that it started live
 * on in process groups of their own. Waits for the end of its input, which comes with the end of the run however that
 * happens. Unless the run has said that it is done, every process that was started for it is ended, every disk that was
 * mounted in its folder unmounted, and the folder removed.
 *
 *     node reaper.mjs <folder of the run>
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const [, , folder] = process.argv;

/** Processes that name the folder in their arguments or environment. Where there is no /proc, none is found. */
function processes() {
  try {
    return readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0 && pid !== process.pid && mentions(pid));
  } catch {
    return [];
  }
}

function mentions(pid) {
  return ['cmdline', 'environ'].some((file) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(folder);
    } catch {
      return false;
    }
  });
}

/** Disks in the folder, the innermost first. Where there is no /proc, none is found. */
function mounts() {
  try {
    const points = readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '');
    return points.filter((point) => point.startsWith(`${folder}/`)).reverse();
  } catch {
    return [];
  }
}

// The signal of an interrupted terminal is for the run.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});

let told = '';
for await (const chunk of process.stdin) told += chunk;
if (told !== 'done') {
  // A supervisor that is ended may just have started another process.
  for (let round = 0, found = processes(); round < 20 && found.length > 0; round++, found = processes()) {
    for (const pid of found) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
    await delay(100);
  }
  for (const point of mounts()) spawnSync('umount', ['-l', point], { stdio: 'ignore' });
  rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
}
