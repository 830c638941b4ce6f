/** The services that exist, by name. Each is loaded when it is started. */
import { FabricError } from '../src/errors.ts';
import type { StartService } from './service.ts';

const services: Readonly<Record<string, () => Promise<StartService>>> = {
  coordinator: async () => {
    const { Coordinator } = await import('./coordinator/coordinator.ts');
    return async (context) => await Coordinator.start(context);
  },
  governor: async () => {
    const { Governor } = await import('./governor/governor.ts');
    return async (context) => await Governor.start(context);
  },
  witness: async () => {
    const { Witness } = await import('./witness/witness.ts');
    return async (context) => await Witness.start(context);
  },
};

export const serviceNames: readonly string[] = Object.keys(services);

/** @throws FabricError INVALID_REQUEST for a name that no service has */
export async function serviceOf(name: string): Promise<StartService> {
  const load = Object.hasOwn(services, name) ? services[name] : undefined;
  if (!load)
    throw new FabricError(
      'INVALID_REQUEST',
      `there is no service ${JSON.stringify(name)}; there are ${serviceNames.join(', ')}`,
    );
  return await load();
}
