/**
 * An existing server of someone else's making: one in a container. Needs a container engine and an image of nats-server
 * 2.12 or newer, whose name `IF_TEST_NATS_IMAGE` gives; without it the test is skipped.
 */
import { connect } from '@nats-io/transport-node';
import { NatsContainer, type StartedNatsContainer } from '@testcontainers/nats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkServers } from '../../src/cluster/requirements.ts';

const image = process.env['IF_TEST_NATS_IMAGE'];

describe.skipIf(!image)('a server in a container', () => {
  let plain: StartedNatsContainer;
  let streaming: StartedNatsContainer;

  beforeAll(async () => {
    [plain, streaming] = await Promise.all([
      new NatsContainer(image!).start(),
      new NatsContainer(image!).withJetStream().start(),
    ]);
  });

  afterAll(async () => {
    await Promise.all([plain?.stop(), streaming?.stop()]);
  });

  it('is taken when it has JetStream with atomic batches and schedules', async () => {
    const nc = await connect(streaming.getConnectionOptions());
    await checkServers(nc);
    await nc.close();
  });

  it('is refused in one line when it has no JetStream', async () => {
    const nc = await connect(plain.getConnectionOptions());
    await expect(checkServers(nc)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/^[^\n]*JetStream[^\n]*$/),
    });
    await nc.close();
  });
});
