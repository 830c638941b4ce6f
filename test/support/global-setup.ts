/** Once before all tests: obtains the nats-server, so that test files running at once do not all download it. */
import { obtainServer } from '../../src/cluster/binary.ts';

export default async function setup(): Promise<void> {
  const { version, path } = await obtainServer({
    onProgress: (line) => process.stderr.write(`nats-server: ${line}\n`),
  });
  process.stderr.write(`nats-server ${version} (${path})\n`);
}
