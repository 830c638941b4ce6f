/** What waits for a person on the command line: the question, the list of them, and the decision in a person's name. */
import { writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApprovalView } from '../../actors/governor/approvals/approval-view.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { type Fabric, startFabric } from './built-program.ts';

let fabric: Fabric;
let policies: TempDir;
beforeAll(async () => {
  policies = await tempDir();
  await writeFile(join(policies.path, 'governor.yaml'), 'approvals_required: [raise_budget]\n', { mode: 0o600 });
  fabric = await startFabric('--nodes', '1', '--policies', policies.path);
});
afterAll(async () => {
  await fabric?.stop();
  await policies?.remove();
});

async function askedFor(...args: string[]): Promise<string> {
  const { code, stderr } = await fabric.run('governor', 'allocate', ...args);
  expect(code, stderr).toBe(1);
  return /approval decide (\S+) --approve/.exec(stderr)![1]!;
}

describe('a budget that waits for a person', () => {
  it('is raised when the person approves, whose name is kept', async () => {
    const id = await askedFor('reviewer-1', '--budget', '5', '--reason', 'a large review');
    const { approvals } = await fabric.json<{ approvals: ApprovalView[] }>('approval', 'list', '--state', 'pending');
    expect(approvals).toMatchObject([{ approval_id: id, reason: 'a large review', decided_name: null }]);
    const { stdout } = await fabric.run('approval', 'list');
    expect(stdout).toMatch(new RegExp(`${id} +pending +raise_budget +swarm:reviewer-1`));
    const decide = ['approval', 'decide', id, '--approve', '--name', 'Ada Lovelace', '--comment', 'until Friday'];
    expect(await fabric.json(...decide)).toMatchObject({
      state: 'approved',
      decided_name: 'Ada Lovelace',
      comment: 'until Friday',
    });
    expect(await fabric.json('swarm', 'show', 'reviewer-1')).toMatchObject({ budget: { allocated_usd: 5 } });
    expect(await fabric.json('approval', 'show', id)).toMatchObject({ state: 'approved', n: 2 });
    const { stdout: facts } = await fabric.run('approval', 'show', id);
    expect(facts).toMatch(/decided_name +Ada Lovelace/);
  });

  it('stays as it is when the person rejects it; without a name it is the login name', async () => {
    const id = await askedFor('reviewer-2', '--budget', '5');
    expect(await fabric.json('approval', 'decide', id, '--reject')).toMatchObject({
      state: 'rejected',
      decided_name: userInfo().username,
    });
    expect((await fabric.run('swarm', 'show', 'reviewer-2')).code).toBe(1);
    const late = await fabric.run('approval', 'decide', id, '--approve');
    expect(late.code).toBe(1);
    expect(late.stderr).toContain('rejected');
  });

  it('needs one answer, and an approval that there is', async () => {
    const id = await askedFor('reviewer-3', '--budget', '5');
    for (const answer of [[], ['--approve', '--reject']]) {
      const { code, stderr } = await fabric.run('approval', 'decide', id, ...answer);
      expect(code).toBe(2);
      expect(stderr).toContain('either --approve or --reject');
    }
    const { code, stderr } = await fabric.run('approval', 'decide', 'raise_budget.nothing.1', '--approve');
    expect(code).toBe(1);
    expect(stderr).toContain('there is no approval raise_budget.nothing.1');
  });
});

describe('task create --assign', () => {
  it('makes a task that is offered to the best swarm first', async () => {
    const made = await fabric.json('task', 'create', 'assigned-1', '--type', 'build', '--assign');
    expect(made).toMatchObject({ task_id: 'assigned-1', assign: true, assignment: { asked: [] } });
  });
});
