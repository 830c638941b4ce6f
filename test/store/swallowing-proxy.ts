/** A TCP proxy in front of a server that can lose what passes in one direction, and cut the connections. */
import { connect, createServer, type Socket } from 'node:net';

export interface SwallowingProxy {
  readonly port: number;
  /** From now on this is lost: what the server answers, what the client sends, or nothing. */
  lose(what: 'answers' | 'requests' | 'nothing'): void;
  /** Ends all connections, as a network does: without a word. New ones lose nothing. */
  cut(): void;
  stop(): Promise<void>;
}

export async function startProxy(serverPort: number): Promise<SwallowingProxy> {
  let losing: 'answers' | 'requests' | 'nothing' = 'nothing';
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(serverPort, '127.0.0.1');
    for (const [from, to, lost] of [
      [client, upstream, 'requests'],
      [upstream, client, 'answers'],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (chunk) => {
        if (losing !== lost) to.write(chunk);
      });
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  const cut = () => {
    losing = 'nothing';
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: address.port,
    lose: (what) => {
      losing = what;
    },
    cut,
    async stop() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
