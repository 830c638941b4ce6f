/** A process that opens the identity of a data directory: `identity-program.ts DIR environment|mint|revoke|resolver [ARG]`. */
import { openIdentity } from '../../src/identity/identity.ts';
import { Namespace } from '../../src/namespace.ts';

const [dir = '', action, argument = ''] = process.argv.slice(2);
const identity = await openIdentity(dir, new Namespace());

async function act(): Promise<unknown> {
  switch (action) {
    case 'environment':
      return [identity.environment, await identity.operatorCreds()];
    case 'mint':
      return identity.mintSwarm(argument);
    case 'revoke':
      return identity.revokeSwarm(argument);
    case 'resolver':
      return identity.writeResolver(argument).then(() => null);
    default:
      throw new Error(`no such action: ${action}`);
  }
}

console.log(JSON.stringify(await act()));
