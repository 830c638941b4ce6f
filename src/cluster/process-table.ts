/**
 * What the operating system says about a process that need not be our child. A process id alone says nothing, since ids
 * are used again; an id together with its start time names one process.
 */
import { readFile } from 'node:fs/promises';
import { runProgram } from './program.ts';

export interface ProcessInfo {
  /** Opaque; equal for the same process only. */
  readonly start_time: string;
  /** Program and arguments, separated by spaces. */
  readonly command: string;
}

/** Undefined when there is no such process, or only the remains of one that nobody has waited for. */
export async function readProcess(pid: number): Promise<ProcessInfo | undefined> {
  return process.platform === 'linux' ? readFromProc(pid) : readFromPs(pid);
}

async function readFromProc(pid: number): Promise<ProcessInfo | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The second field is the name in parentheses and may hold anything; state is the 3rd field, start time the 22nd.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const startTime = fields[19];
    if (startTime === undefined || fields[0] === 'Z' || fields[0] === 'X') return undefined;
    const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ').trim();
    return { start_time: startTime, command };
  } catch {
    return undefined;
  }
}

async function readFromPs(pid: number): Promise<ProcessInfo | undefined> {
  try {
    const { stdout } = await runProgram('ps', ['-ww', '-o', 'stat=,lstart=,command=', '-p', String(pid)], {
      timeoutMs: 5_000,
      env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    });
    const match = /^\s*(\S+)\s+(\S+\s+\S+\s+\d+\s+[\d:]+\s+\d+)\s+(.*)$/m.exec(stdout);
    if (!match?.[1] || !match[2] || match[3] === undefined || match[1].startsWith('Z')) return undefined;
    return { start_time: match[2], command: match[3].trim() };
  } catch {
    return undefined;
  }
}
