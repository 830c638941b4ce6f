/** `/metrics`: what it serves, and to whom. */
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collectMetrics } from '../../actors/fabric/metrics-collect.ts';
import { type MetricsServer, startMetricsServer } from '../../actors/fabric/metrics-server.ts';
import { connectTo } from '../../src/bus/connection.ts';
import { authFromCreds } from '../../src/identity/connect-auth.ts';
import { startFabric, type TestFabric } from '../coordinator/in-process.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

interface Answer {
  status: number;
  type: string;
  text: string;
}

async function ask(url: string, options: { method?: string; host?: string } = {}): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const { host, ...rest } = options;
    const sent = request(url, { ...rest, ...(host === undefined ? {} : { headers: { host } }) }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', text }),
      );
    });
    sent.on('error', reject).end();
  });
}

describe('the server of metrics', () => {
  let server: MetricsServer;
  let collect = async () => 'a 1\n';
  beforeAll(async () => {
    server = await startMetricsServer({ port: 0, collect: async () => await collect() });
  });
  afterAll(async () => await server?.close());

  it('answers GET /metrics on the loopback interface in the format of Prometheus', async () => {
    expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
    expect(await ask(server.url)).toEqual({
      status: 200,
      type: 'text/plain; version=0.0.4; charset=utf-8',
      text: 'a 1\n',
    });
  });

  it('answers nothing else', async () => {
    expect((await ask(server.url.replace('/metrics', '/'))).status).toBe(404);
    expect((await ask(`${server.url}/../x`)).status).toBe(404);
    for (const method of ['POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS'])
      expect((await ask(server.url, { method })).status).toBe(405);
    expect((await ask(server.url, { host: 'elsewhere.example' })).status).toBe(421);
  });

  it('says when it has no figures', async () => {
    collect = async () => await Promise.reject(new Error('secret'));
    expect(await ask(server.url)).toMatchObject({ status: 503, text: expect.not.stringContaining('secret') });
  });

  it('names the port that is taken, and what to do', async () => {
    const port = Number(new URL(server.url).port);
    await expect(startMetricsServer({ port, collect })).rejects.toThrow(/EADDRINUSE.*--console-port/);
  });
});

describe('what is collected', () => {
  let fabric: TestFabric;
  let dir: TempDir;
  beforeAll(async () => {
    dir = await tempDir();
    fabric = await startFabric();
  });
  afterAll(async () => {
    await fabric?.stop();
    await dir?.remove();
  });

  it('is of the witness of this data directory, asked by a service for the operator', async () => {
    const { namespace, identity, cluster } = fabric.cluster;
    const { authenticator, inboxPrefix } = authFromCreds(await identity.serviceCreds('fabric'));
    const nc = await connectTo({ servers: cluster.servers, authenticator, inboxPrefix, name: 'test' });
    try {
      const database = join(dir.path, 'one', 'witness.db');
      await expect(collectMetrics(nc, namespace, database)).rejects.toThrow(/no witness has opened/);
      const one = await fabric.witness({ data_dir: join(dir.path, 'one'), checkpoint_every_ms: 50 });
      await fabric.witness({ data_dir: join(dir.path, 'two') });
      await expect
        .poll(async () => await collectMetrics(nc, namespace, database))
        .toMatch(/^if_witness_checkpoints_total [1-9]/m);
      await one.stop();
      await expect(collectMetrics(nc, namespace, database)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    } finally {
      await nc.close();
    }
  });
});
