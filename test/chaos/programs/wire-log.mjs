// Writes down every request for a task that leaves a connection, and every answer that comes back, before the program
// sees it: one line of JSON each, in a file that survives the program. Times are of the machine's monotonic clock, which
// all processes share, in milliseconds.
import { openSync, writeSync } from 'node:fs';
import { isUndelivered } from '../../../dist/src/bus/jetstream-answer.js';
import { unpackBytes } from '../../../dist/src/data/codec.js';

const now = () => Number(process.hrtime.bigint()) / 1e6;
// What a history needs of a request and of an answer.
const asked = ['task_id', 'token', 'result', 'retryable', 'lease_ms', 'max_attempts', 'depends_on', 'retry_backoff_ms'];
const told = ['task_id', 'state', 'owner', 'n', 'revision', 'attempt', 'lease_expires_at'];
const ignored = new Set(['list', 'explain', 'push']);

const pick = (names, from) =>
  Object.fromEntries(names.filter((name) => from[name] !== undefined).map((name) => [name, from[name]]));

export function writeDown(nc, file) {
  const log = openSync(file, 'a', 0o600);
  const write = (line) => writeSync(log, `${JSON.stringify(line)}\n`);
  const request = nc.request.bind(nc);
  let count = 0;
  nc.request = async (subject, body, options) => {
    const [, , by, service, op] = subject.split('.');
    if (service !== 'task' || ignored.has(op)) return await request(subject, body, options);
    const i = count++;
    write({ call: i, by, op, at: now(), body: pick(asked, unpackBytes(body)) });
    try {
      const message = await request(subject, body, options);
      const at = now();
      write({ return: i, at, reply: essence(unpackBytes(message.data)) });
      return message;
    } catch (error) {
      // What no service got can have no effect.
      if (isUndelivered(error)) write({ return: i, at: now(), undelivered: true });
      throw error;
    }
  };
}

function essence({ ok, result, error }) {
  if (!ok) return { code: error.code, message: error.message };
  if ('claimed' in result || 'task' in result) {
    const { claimed, reason, owner, token, task } = result;
    return { claimed: claimed ?? Boolean(task), reason, owner, token, ...(task ? { task: pick(told, task) } : {}) };
  }
  return { task: pick(told, result) };
}
