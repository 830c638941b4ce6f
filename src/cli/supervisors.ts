/** Asking the supervisors of a fabric: there is one in `infrafabric up` and one in each `serve`, and each answers for its own. */
import type { ServiceStatus } from '../../actors/supervisor/supervisor.ts';
import { FabricError, fromWireError } from '../errors.ts';
import type { FabricSession } from './fabric-session.ts';

/** How long the first supervisor may take to answer, and how long to wait for one more, milliseconds. */
const firstAnswerMs = 3_000;
const nextAnswerMs = 400;

type Reply<Result> = { ok: true; result: Result } | { ok: false; error: { code: string; message: string } };

/** The services of each supervisor that answers; none when none does. */
export async function supervisedServices(session: FabricSession): Promise<ServiceStatus[][]> {
  const answers = await askAll<{ services: ServiceStatus[] }>(
    session,
    'status',
    {},
    { strategy: 'stall', stall: nextAnswerMs, maxWait: firstAnswerMs },
  );
  return answers.map(({ services }) => services);
}

/**
 * Restarts services everywhere; resolves with the ids of those that run again.
 * @throws FabricError UNAVAILABLE when no supervisor answers, TIMEOUT when not all of them did in time
 */
export async function restartServices(session: FabricSession, service: string): Promise<string[]> {
  const { length: supervisors } = await supervisedServices(session);
  if (supervisors === 0) throw new FabricError('UNAVAILABLE', 'no supervisor answers; is the fabric up?');
  const maxWait = session.config.request_timeout_ms;
  const answers = await askAll<{ restarted: string[] }>(
    session,
    'restart',
    { service },
    { strategy: 'count', maxMessages: supervisors, maxWait },
  );
  const restarted = answers.flatMap((answer) => answer.restarted);
  if (answers.length >= supervisors) return restarted;
  throw new FabricError(
    'TIMEOUT',
    `${answers.length} of ${supervisors} supervisors answered within ${maxWait} ms, restarted: ${restarted.join(', ') || 'none'}; \`infrafabric status\` shows what runs`,
  );
}

type Strategy =
  | { strategy: 'stall'; stall: number; maxWait: number }
  | { strategy: 'count'; maxMessages: number; maxWait: number };

async function askAll<Result>(
  { client, namespace }: FabricSession,
  op: string,
  body: object,
  strategy: Strategy,
): Promise<Result[]> {
  const nc = client.connection;
  const results: Result[] = [];
  try {
    const subject = namespace.commandSubject(client.callerId, 'supervisor', op);
    for await (const message of await nc.requestMany(subject, JSON.stringify(body), strategy)) {
      if (message.data.length === 0) continue;
      const reply = message.json<Reply<Result>>();
      if (!reply.ok) throw fromWireError(reply.error);
      results.push(reply.result);
    }
  } catch (error) {
    if (error instanceof FabricError) throw error;
    // Nobody listens: that is an answer, too.
    if (results.length === 0 && /no responders/i.test(String(error))) return [];
    throw new FabricError(
      'UNAVAILABLE',
      `the supervisors cannot be asked: ${error instanceof Error ? error.message : String(error)}`,
      undefined,
      { cause: error },
    );
  }
  return results;
}
