/** The settings of services that a benchmark runs by itself: the defaults. */
import type { ServiceSettings } from '../actors/service.ts';
import { defaultPolicy } from '../machines/policy/values.ts';

export function benchSettings(dataDir: string): ServiceSettings {
  return {
    data_dir: dataDir,
    policy: defaultPolicy,
    policies_dir: null,
    lease_ms: 30_000,
    liveness_ms: 30_000,
    archive_after_ms: 3_600_000,
    mailbox_max_age_ms: 604_800_000,
    checkpoint_every_ms: 0,
    checkpoint_file: undefined,
    witness_retain_ms: 0,
    redact_keys: [],
  };
}
