/** `/metrics` for Prometheus, on the loopback interface only. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FabricError } from '../../src/errors.ts';

export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

export interface MetricsServerOptions {
  /** 0: any that is free. */
  readonly port: number;
  /** The text of a scrape, in the format of Prometheus. A failure is answered 503. */
  readonly collect: () => Promise<string>;
}

const host = '127.0.0.1';
/** How long a connection may take to ask, milliseconds. */
const requestTimeoutMs = 5_000;

/** @throws FabricError INVALID_REQUEST when the port is in use, UNAVAILABLE when it cannot be had for another reason */
export async function startMetricsServer({ port, collect }: MetricsServerOptions): Promise<MetricsServer> {
  const server = createServer(
    { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs },
    (request, response) => {
      void answer(request, response, collect);
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        new FabricError(
          error.code === 'EADDRINUSE' ? 'INVALID_REQUEST' : 'UNAVAILABLE',
          `/metrics cannot be served at ${host}:${port} (${error.code ?? error.message}); choose another port with --console-port, or 0 for any that is free`,
          undefined,
          { cause: error },
        ),
      ),
    );
    server.listen(port, host, resolve);
  });
  const { port: taken } = server.address() as AddressInfo;
  return {
    url: `http://${host}:${taken}/metrics`,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  collect: () => Promise<string>,
): Promise<void> {
  const say = (status: number, text: string, headers: Record<string, string> = {}) => {
    response.writeHead(status, {
      'Content-Type': 'text/plain; charset=utf-8',
      'Cache-Control': 'no-store',
      ...headers,
    });
    response.end(text);
  };
  // A page elsewhere may make a browser on this machine ask, under a name of its own; its host gives it away.
  if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(request.headers.host ?? '')) return say(421, 'ask 127.0.0.1\n');
  if (request.method !== 'GET') return say(405, 'only GET\n', { Allow: 'GET' });
  if (request.url?.split('?', 1)[0] !== '/metrics') return say(404, 'there is only /metrics\n');
  try {
    say(200, await collect(), { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' });
  } catch {
    say(503, 'the metrics cannot be collected at the moment\n');
  }
}
