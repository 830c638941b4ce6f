/** The part of the configuration that services get. */
import { defaultPolicy, type GovernorPolicy } from '../../machines/policy/values.ts';
import type { Config } from '../../src/config/settings.ts';
import type { ServiceSettings } from '../service.ts';

/**
 * `policy` is what was read from the folder of policies, which the governor then follows; without it services take the
 * policy from the record, and follow no files.
 */
export function serviceSettings(config: Config, policy?: GovernorPolicy): ServiceSettings {
  return {
    data_dir: config.data_dir,
    policy: policy ?? defaultPolicy,
    policies_dir: policy ? config.policies : null,
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
