/** The part of the configuration that services get. */
import type { Config } from '../../src/config/settings.ts';
import type { ServiceSettings } from '../service.ts';

/** Policy values that no file sets yet (US dollars, failures in a row). */
const policyDefaults = { circuit_breaker_failure_threshold: 3, max_cost_per_task: 10 } as const;

export function serviceSettings(config: Config): ServiceSettings {
  return {
    ...policyDefaults,
    data_dir: config.data_dir,
    min_capability_match: config.min_capability_match,
    lease_ms: config.lease_ms,
    liveness_ms: config.liveness_ms,
    archive_after_ms: config.archive_after_ms,
    mailbox_max_age_ms: config.mailbox_max_age_ms,
    checkpoint_every_ms: config.checkpoint_every_ms,
    checkpoint_file: config.checkpoint_file,
    witness_retain_ms: config.witness_retain_ms,
    redact_keys: config.redact_keys,
  };
}
