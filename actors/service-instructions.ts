/** What a service process is told by its parent. */
import type { ServiceSettings } from './service.ts';

export interface ServiceInstructions {
  /** Which one of several of its kind, such as `coordinator-1`. */
  readonly instance: string;
  readonly namespace: string;
  readonly servers: readonly string[];
  readonly creds: string;
  readonly log_level: string;
  readonly settings: ServiceSettings;
}
