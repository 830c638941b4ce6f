import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PolicyLoader } from '../../actors/governor/policy-loader.ts';
import { PolicyKnown } from '../../actors/policy-known.ts';
import type { PolicyContext } from '../../machines/policy/context.ts';
import { defaultPolicy, type GovernorPolicy } from '../../machines/policy/values.ts';
import { SimulatedClock } from '../../src/clock.ts';
import { ActorStore } from '../../src/store/actor-store.ts';
import type { Notice } from '../../src/store/mailbox-message.ts';
import { MemoryRecordLog } from '../../src/store/memory-record-log.ts';
import { newId } from '../../src/store/unique-id.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

let dir: TempDir;
beforeEach(async () => {
  dir = await tempDir();
});
afterEach(async () => await dir.remove());

const path = () => join(dir.path, 'governor.yaml');
const write = async (text: string) => await writeFile(path(), text);

/** A governor's loader over one log; a further one stands for a restart. */
function loaderOver(log: MemoryRecordLog, initial: GovernorPolicy = defaultPolicy, folder: string | null = dir.path) {
  const clock = new SimulatedClock();
  const policy = new PolicyKnown(initial);
  const told: Array<{ to: string; type: string; notice: Notice }> = [];
  const loader = new PolicyLoader(
    {
      store: new ActorStore({ log, clock, newId }),
      clock,
      log: pino({ level: 'silent' }),
      newId,
      policy,
      notify: (to, type, notice) => void told.push({ to, type, notice }),
    },
    { dir: folder, initial },
  );
  return { loader, policy, told };
}

const loads = (log: MemoryRecordLog) => log.all.map(({ record }) => record);

describe('the policy loader', () => {
  it('records the built-in policy where there is no file, and nothing more as long as that is so', async () => {
    const log = new MemoryRecordLog();
    const { loader, policy } = loaderOver(log);
    await loader.start();
    await loader.sweep();
    expect(loads(log)).toMatchObject([
      { kind: 'policy', id: 'governor', by: 'IF.governor', event: { type: 'LOAD', file: null, policy: defaultPolicy } },
    ]);
    expect(policy.current).toEqual(defaultPolicy);
    expect(policy.sources['assign_tasks']).toBe('built-in');
  });

  it('brings a change into force when two looks in a row found it the same, and not before', async () => {
    const log = new MemoryRecordLog();
    const { loader, policy } = loaderOver(log);
    await write('max_cost_per_task: 2\n');
    await loader.start();
    expect(policy.current.max_cost_per_task).toBe(2);
    await write('max_cost_per_task: 3\n');
    await loader.sweep();
    expect(policy.current.max_cost_per_task).toBe(2);
    await write('max_cost_per_task: 4\nmin_capability_match: 1\n');
    await loader.sweep();
    expect(policy.current.max_cost_per_task).toBe(2);
    await loader.sweep();
    await loader.sweep();
    expect(policy.current).toMatchObject({ max_cost_per_task: 4, min_capability_match: 1 });
    expect(policy.sources).toMatchObject({ min_capability_match: `${path()}:2`, assign_tasks: 'built-in' });
    expect(loads(log)).toHaveLength(2);
  });

  it('keeps the policy in force when a change is not valid, and tells people once', async () => {
    const log = new MemoryRecordLog();
    const { loader, policy, told } = loaderOver(log);
    await write('max_cost_per_task: 2\n');
    await loader.start();
    await write('max_cost_per_task: much\n');
    for (let i = 0; i < 5; i++) await loader.sweep();
    expect(policy.current.max_cost_per_task).toBe(2);
    expect(told).toMatchObject([
      {
        to: 'operator',
        type: 'escalation',
        notice: {
          type: 'policy_invalid',
          file: path(),
          message: expect.stringContaining('max_cost_per_task is "much"'),
          findings: [{ line: 1 }],
        },
      },
    ]);
    await write('max_cost_per_task: 5\n');
    await loader.sweep();
    await loader.sweep();
    expect(policy.current.max_cost_per_task).toBe(5);
    expect(told).toHaveLength(1);
  });

  it('does not relax a policy whose file goes away; an empty file does', async () => {
    const log = new MemoryRecordLog();
    const strict = { ...defaultPolicy, max_cost_per_task: 1 };
    const { loader, policy, told } = loaderOver(log, strict);
    await write('max_cost_per_task: 1\n');
    await loader.start();
    await rm(path());
    for (let i = 0; i < 3; i++) await loader.sweep();
    expect(policy.current.max_cost_per_task).toBe(1);
    expect(told).toMatchObject([{ notice: { message: expect.stringContaining('is gone') } }]);
    const restarted = loaderOver(log, strict);
    await restarted.loader.start();
    expect(restarted.policy.current.max_cost_per_task).toBe(1);
    await write('');
    for (let i = 0; i < 2; i++) await restarted.loader.sweep();
    expect(restarted.policy.current).toEqual(defaultPolicy);
  });

  it('does not relax a policy whose file appeared later and went away while no governor looked', async () => {
    const log = new MemoryRecordLog();
    const { loader } = loaderOver(log);
    await loader.start();
    await write('max_cost_per_task: 1\n');
    for (let i = 0; i < 2; i++) await loader.sweep();
    await rm(path());
    const restarted = loaderOver(log);
    await restarted.loader.start();
    expect(restarted.policy.current.max_cost_per_task).toBe(1);
    expect(restarted.told).toMatchObject([{ notice: { message: expect.stringContaining('is gone') } }]);
  });

  it('takes a file that appears later', async () => {
    const { loader, policy } = loaderOver(new MemoryRecordLog());
    await loader.start();
    await write('assign_tasks: true\n');
    for (let i = 0; i < 2; i++) await loader.sweep();
    expect(policy.current.assign_tasks).toBe(true);
  });

  it('starts with the policy on record when the file was broken meanwhile, and writes nothing for one that is unchanged', async () => {
    const log = new MemoryRecordLog();
    await write('max_cost_per_task: 2\n');
    await loaderOver(log).loader.start();
    const same = loaderOver(log);
    await same.loader.start();
    expect(loads(log)).toHaveLength(1);
    expect(same.policy.current.max_cost_per_task).toBe(2);
    await write('[');
    const broken = loaderOver(log);
    await broken.loader.start();
    expect(broken.policy.current.max_cost_per_task).toBe(2);
    expect(broken.told).toHaveLength(1);
  });

  it('without a folder follows the record alone', async () => {
    const log = new MemoryRecordLog();
    const { loader, policy } = loaderOver(log, defaultPolicy, null);
    await loader.start();
    await loader.sweep();
    expect(log.all).toEqual([]);
    await write('max_cost_per_task: 2\n');
    await loaderOver(log).loader.start();
    for (const stored of log.all) loader.apply(stored);
    expect(policy.current.max_cost_per_task).toBe(2);
  });
});

describe('the policy that a process knows', () => {
  it('is the latest on record, whatever the order in which records come, and before any the one it began with', async () => {
    const log = new MemoryRecordLog();
    const initial = { ...defaultPolicy, max_cost_per_task: 7 };
    const { loader } = loaderOver(log);
    await write('max_cost_per_task: 2\n');
    await loader.start();
    await write('max_cost_per_task: 3\n');
    for (let i = 0; i < 2; i++) await loader.sweep();
    const known = new PolicyKnown(initial);
    expect(known.current).toEqual(initial);
    expect(known.sources).toEqual({});
    for (const stored of [...log.all].reverse()) known.apply(stored);
    expect(known.current.max_cost_per_task).toBe(3);
    expect(known.recorded?.file).toBe(path());
  });

  it('keeps what held before for values that a record does not have', async () => {
    const log = new MemoryRecordLog();
    await loaderOver(log).loader.start();
    const [stored] = log.all;
    const context = stored!.record.snapshot.context as PolicyContext;
    const { help_timeout_ms, ...older } = context.policy;
    const record = {
      ...stored!.record,
      snapshot: { ...stored!.record.snapshot, context: { ...context, policy: older } },
    };
    const known = new PolicyKnown({ ...defaultPolicy, help_timeout_ms: 1_234 });
    known.apply({ record, revision: 9 });
    expect(known.current).toEqual({ ...defaultPolicy, help_timeout_ms: 1_234 });
    expect(help_timeout_ms).toBe(defaultPolicy.help_timeout_ms);
  });
});
