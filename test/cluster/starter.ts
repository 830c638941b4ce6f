/** Starts a cluster in a process of its own and prints it; stays until killed, or with `leave` ends without stopping it. */
import { startCluster } from '../../src/cluster/cluster.ts';
import { openIdentity } from '../../src/identity/identity.ts';
import { Namespace } from '../../src/namespace.ts';

const [binary = '', dataDir = '', nodes = '3', then = 'stay'] = process.argv.slice(2);
const auth = await openIdentity(dataDir, new Namespace());
const cluster = await startCluster({
  binary,
  dataDir,
  nodes: nodes === '1' ? 1 : 3,
  storage: 'memory',
  basePort: 0,
  clusterName: 'if-starter',
  auth,
});
process.stdout.write(`${JSON.stringify(cluster.nodes)}\n`);
if (then === 'stay') setInterval(() => {}, 60_000);
