/** Ports on the loopback interface: whether one is free, and several that are. */
import { createServer } from 'node:net';
import { FabricError } from '../errors.ts';

/**
 * Below the ranges that systems hand out to outgoing connections. A node that is restarted needs its port again, and a
 * port of those ranges may have been given away meanwhile.
 */
const lowest = 15_000;
const highest = 31_999;

/** Whether a server could listen on 127.0.0.1:`port` now. */
export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * `count` different free ports, none of `avoid`. Another process may take one before it is used: whoever uses them tries
 * again then.
 * @throws FabricError UNAVAILABLE when the machine has hardly any free port.
 */
export async function pickPorts(count: number, avoid: ReadonlySet<number> = new Set()): Promise<number[]> {
  const picked = new Set<number>();
  for (let tries = 0; picked.size < count; tries++) {
    if (tries > 1_000) {
      throw new FabricError('UNAVAILABLE', `no ${count} free ports between ${lowest} and ${highest} on 127.0.0.1`);
    }
    const port = lowest + Math.floor(Math.random() * (highest - lowest + 1));
    if (!picked.has(port) && !avoid.has(port) && (await isPortFree(port))) picked.add(port);
  }
  return [...picked];
}
