/**
 * Services in this process for a fabric that runs elsewhere: supervised, recorded in its log, and restarted on request as
 * those of `infrafabric up` are.
 */
import { hostname } from 'node:os';
import type { NatsConnection } from '@nats-io/nats-core';
import { serviceSettings } from '../../actors/fabric/service-settings.ts';
import { supervisorRequests } from '../../actors/fabric/supervisor-requests.ts';
import { serviceOf } from '../../actors/registry.ts';
import type { RunningService } from '../../actors/service.ts';
import { inlineChild } from '../../actors/supervisor/inline-child.ts';
import { ServiceRecorder } from '../../actors/supervisor/service-recorder.ts';
import { Supervisor } from '../../actors/supervisor/supervisor.ts';
import { connectTo } from '../bus/connection.ts';
import { Responder } from '../bus/responder.ts';
import { systemClock } from '../clock.ts';
import { authFromCreds } from '../identity/connect-auth.ts';
import type { Log } from '../log.ts';
import { ActorStore } from '../store/actor-store.ts';
import { readStartedEpoch } from '../store/epoch.ts';
import { awaitEpoch } from '../store/epoch-watch.ts';
import { NatsRecordLog } from '../store/nats-record-log.ts';
import { newId } from '../store/unique-id.ts';
import { packageVersion } from '../version.ts';
import type { FabricPlace } from './fabric-session.ts';

export interface JoinedOptions {
  readonly place: FabricPlace;
  /** Of a service or an operator. */
  readonly creds: string;
  readonly log: Log;
  /** A service was given up, or the fabric is out of reach for good. */
  readonly onEscalation: (reason: string) => void;
}

/** How long a stop waits for the log to take the last steps, milliseconds. */
const recordMs = 1_000;

export class JoinedServices {
  readonly #options: JoinedOptions;
  readonly #nc: NatsConnection;
  readonly #recorder: ServiceRecorder;
  readonly #supervisor: Supervisor;
  readonly #responder: Responder;
  #stopping = false;

  private constructor(options: JoinedOptions, nc: NatsConnection) {
    const { place, log, onEscalation } = options;
    this.#options = options;
    this.#nc = nc;
    this.#recorder = new ServiceRecorder(log);
    this.#recorder.writeTo(new ActorStore({ log: new NatsRecordLog(nc, place.namespace), clock: systemClock, newId }));
    this.#supervisor = new Supervisor({
      version: packageVersion(),
      log,
      record: (id, event) => this.#recorder.record(id, event),
      recorded: async () => await this.#recorder.settled(recordMs),
      onEscalation: (id, reason) => onEscalation(`the service ${id} was given up: ${reason}`),
    });
    this.#responder = new Responder({
      nc,
      namespace: place.namespace,
      service: 'supervisor',
      operations: supervisorRequests(this.#supervisor),
      log,
      shared: false,
    });
  }

  /** Call `stop` on every way out. @throws FabricError UNAVAILABLE, UNAUTHORIZED */
  static async join(options: JoinedOptions): Promise<JoinedServices> {
    const nc = await connectAs(options, 'supervisor');
    const joined = new JoinedServices(options, nc);
    void nc.closed().then(() => {
      const reason = 'the connection to the fabric was closed; were its credentials revoked?';
      if (!joined.#stopping) options.onEscalation(reason);
    });
    return joined;
  }

  /** Resolves with the id of the service when it answers; rejects when it is given up. */
  async start(service: string): Promise<string> {
    const instance = instanceId(service);
    // A cluster without any fabric in it is told at once; one that is being restored is waited for.
    await readStartedEpoch(this.#nc, this.#options.place.namespace);
    await this.#supervisor.supervise(
      instance,
      inlineChild(async () => await this.#run(service, instance)),
    );
    await this.#nc.flush();
    return instance;
  }

  /** Finishes what was taken on, then leaves the fabric. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#responder.drain();
    await this.#supervisor.stop();
    await this.#recorder.settled(recordMs);
    await this.#nc.close();
  }

  /** Each service has a connection of its own. */
  async #run(service: string, instance: string): Promise<RunningService> {
    const { place, log } = this.#options;
    const start = await serviceOf(service);
    const nc = await connectAs(this.#options, instance);
    try {
      await awaitEpoch(nc, place.namespace, { restoring: service === 'witness' });
      const running = await start({
        nc,
        namespace: place.namespace,
        log: log.child({ service: instance }),
        settings: serviceSettings(place.config),
      });
      return {
        failed: running.failed,
        stop: async () => await running.stop().finally(async () => await nc.close()),
      };
    } catch (error) {
      await nc.close();
      throw error;
    }
  }
}

async function connectAs({ creds, place }: JoinedOptions, name: string): Promise<NatsConnection> {
  const { authenticator, inboxPrefix } = authFromCreds(creds);
  return await connectTo({ servers: place.servers, authenticator, inboxPrefix, name });
}

/** `<service>-<host>-<pid>`, where the host is cut to what an id may hold. */
function instanceId(service: string): string {
  const host = hostname()
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .slice(0, 60);
  return `${service}-${host}-${process.pid}`;
}
