/** What the acts of the demo play on: the fabric, an operator who watches, and the workers. */
import type { EmbeddedFabric } from '../../actors/fabric/embedded-fabric.ts';
import type { FabricClient } from '../bus/client.ts';
import type { BoardWatch } from './board-watch.ts';
import type { Progress } from './progress.ts';
import type { WorkerChild } from './worker-child.ts';

export interface Stage {
  readonly fabric: EmbeddedFabric;
  /** An operator's. */
  readonly client: FabricClient;
  readonly watch: BoardWatch;
  readonly workers: readonly WorkerChild[];
  readonly progress: Progress;
}
