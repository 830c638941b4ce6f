/** What the acts of the demo play on: the fabric, an operator who watches, the workers, and swarms that come for an act. */
import type { EmbeddedFabric } from '../../actors/fabric/embedded-fabric.ts';
import type { FabricClient } from '../bus/client.ts';
import type { Registration } from '../sdk/worker.ts';
import type { BoardWatch } from './board-watch.ts';
import type { Progress } from './progress.ts';
import type { WorkerChild } from './worker-child.ts';

export interface Stage {
  readonly fabric: EmbeddedFabric;
  /** An operator's. */
  readonly client: FabricClient;
  readonly watch: BoardWatch;
  readonly workers: readonly WorkerChild[];
  /** One more swarm, which stays until the end. */
  readonly admit: (swarm_id: string, registration: Registration) => Promise<FabricClient>;
  readonly progress: Progress;
  /** Aborts when the demo is interrupted or has failed. */
  readonly signal: AbortSignal;
}
