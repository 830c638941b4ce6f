/** Logs of services: structured lines by pino, on standard error. Secrets never reach a log call; ids and codes do. */
import pino from 'pino';

export type Log = pino.Logger;

export function createLog(options: { level: string; service: string }): Log {
  return pino(
    {
      level: options.level,
      base: { service: options.service, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
