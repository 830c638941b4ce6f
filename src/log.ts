/**
 * Logs of services: structured lines by pino, on standard error. Secrets never reach a log call; ids and codes do. A log
 * that cannot be written, as on a full disk, fails nobody: that is when a service most has to go on and say what is wrong.
 */
import pino from 'pino';

export type Log = pino.Logger;

/** Lines that wait until they can be written, bytes; later ones are dropped. */
const mostWaiting = 256 * 1024;

export function createLog(options: { level: string; service: string }): Log {
  const destination = pino.destination({ dest: 2, sync: true, maxLength: mostWaiting });
  // It keeps what it could not write, and tries again with the next line.
  destination.on('error', () => {});
  return pino(
    {
      level: options.level,
      base: { service: options.service, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    destination,
  );
}
