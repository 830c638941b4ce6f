/** `infrafabric restart SERVICE|all`: restarts services, wherever they run, without the nodes. */

import { requireOperator, withFabric } from '../fabric-session.ts';
import { exitCodes } from '../output.ts';
import type { CommandRun } from '../program.ts';
import { restartServices, supervisedServices } from '../supervisors.ts';

/** Exit code 1 when no service has that name. */
export const restart: CommandRun = async (context, [service = '']) => {
  const { out } = context;
  return await withFabric(context, async (session) => {
    requireOperator(session, 'restart');
    const restarted = await restartServices(session, service);
    out.data({ restarted });
    if (restarted.length > 0) {
      out.line(`restarted: ${restarted.join(', ')}`);
      return exitCodes.done;
    }
    const known = (await supervisedServices(session)).flat().map(({ id }) => id);
    out.note(`no service is named ${JSON.stringify(service)}; there are ${known.join(', ') || 'none'}, and all`);
    return exitCodes.no;
  });
};
