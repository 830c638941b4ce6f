/**
 * Carries out a plan of faults on the processes of a fabric: kills them, or freezes them and wakes them up again. What
 * would be more than the fabric promises to outlast is left out: of the nodes one at a time, when the others have all
 * of its memory; of a service so often that its supervisor does not give it up.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import type { EmbeddedFabric } from '../../actors/fabric/embedded-fabric.ts';
import { defaultRestartPolicy } from '../../machines/service/context.ts';
import type { PlannedFault, Victim } from './fault-plan.ts';
import { now } from './monotonic.ts';

export interface Fault {
  /** Such as `node kill` or `worker freeze`. */
  readonly kind: string;
  readonly name: string;
  readonly begun: number;
  /** When it was woken up again; that of a kill is its beginning. */
  readonly ended: number;
}

interface Target {
  readonly name: string;
  readonly pid: number;
}

export interface FaultsOptions {
  readonly fabric: EmbeddedFabric;
  readonly workers: () => Target[];
}

export class Faults {
  readonly done: Fault[] = [];
  /** Those that were left out. */
  skipped = 0;
  readonly #options: FaultsOptions;
  /** Who sleeps, by name. */
  readonly #frozen = new Map<string, Promise<void>>();
  readonly #restarts: { at: number; name: string; restarts: number }[] = [];

  constructor(options: FaultsOptions) {
    this.#options = options;
  }

  /** Resolves when the plan is carried out, or the signal aborts, and nobody sleeps any more. */
  async carryOut(plan: readonly PlannedFault[], signal: AbortSignal): Promise<void> {
    const begun = now();
    for (const fault of plan) {
      const wait = begun + fault.after_ms - now();
      if (wait > 0) await delay(wait, undefined, { signal }).catch(() => {});
      if (signal.aborted) break;
      this.#countRestarts();
      const target = await this.#targetOf(fault);
      if (!target) this.skipped++;
      else if (fault.frozen_ms === null) this.#kill(fault.victim, target);
      else this.#freeze(fault.victim, target, fault.frozen_ms, signal);
    }
    await Promise.all(this.#frozen.values());
  }

  #kill(victim: Victim, { name, pid }: Target): void {
    const begun = now();
    if (send(pid, 'SIGKILL')) this.done.push({ kind: `${victim} kill`, name, begun, ended: begun });
  }

  #freeze(victim: Victim, { name, pid }: Target, ms: number, signal: AbortSignal): void {
    const begun = now();
    if (!send(pid, 'SIGSTOP')) return;
    const sleep = async () => {
      await delay(ms, undefined, { signal }).catch(() => {});
      // Another process may have its number by now.
      if ((await this.#running(victim)).some((one) => one.pid === pid)) send(pid, 'SIGCONT');
      this.#frozen.delete(name);
      this.done.push({ kind: `${victim} freeze`, name, begun, ended: now() });
    };
    this.#frozen.set(name, sleep());
  }

  async #targetOf({ victim, pick, frozen_ms }: PlannedFault): Promise<Target | undefined> {
    const all = await this.#running(victim);
    if (victim === 'node' && !(await this.isWhole())) return undefined;
    const choices = all.filter(({ name }) => !this.#frozen.has(name) && (frozen_ms !== null || this.#mayEnd(name)));
    return choices[Math.floor(pick * choices.length)];
  }

  async #running(victim: Victim): Promise<Target[]> {
    const { fabric, workers } = this.#options;
    if (victim === 'worker') return workers();
    if (victim === 'node') return withPid((fabric.cluster?.nodes ?? []).map(({ name, pid }) => ({ name, pid })));
    const services = fabric.supervisor.status().filter(({ id, state }) => state === 'running' && id.startsWith(victim));
    return withPid(services.map(({ id, pid }) => ({ name: id, pid })));
  }

  /** Whether all nodes are there and each has all that the others have. */
  async isWhole(): Promise<boolean> {
    const { nc, cluster, namespace } = this.#options.fabric;
    const nodes = cluster?.nodes ?? [];
    if (nodes.some(({ name, pid }) => pid === null || this.#frozen.has(name))) return false;
    const health = nodes.map(async ({ http_port }) => {
      const signal = AbortSignal.timeout(1_000);
      return (await fetch(`http://127.0.0.1:${http_port}/healthz`, { signal }).catch(() => undefined))?.ok === true;
    });
    if (!(await Promise.all(health)).every(Boolean)) return false;
    try {
      const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 1_000 });
      const names = [
        ...namespace.auditedStreams.map(({ stream }) => stream),
        namespace.timersStream,
        namespace.inboxStream,
      ];
      const streams = await Promise.all(names.map(async (name) => await jsm.streams.info(name)));
      return streams.every(({ cluster: group }) => {
        const replicas = group?.replicas ?? [];
        return Boolean(group?.leader) && replicas.length === nodes.length - 1 && replicas.every(isCurrent);
      });
    } catch {
      return false;
    }
  }

  #countRestarts(): void {
    for (const { id, restarts } of this.#options.fabric.supervisor.status())
      this.#restarts.push({ at: now(), name: id, restarts });
  }

  /** Whether a service may end once more without being given up; anything else may. */
  #mayEnd(name: string): boolean {
    const counts = this.#restarts.filter((one) => one.name === name);
    const latest = counts.at(-1);
    if (!latest) return true;
    const before = counts.findLast(({ at }) => at < now() - defaultRestartPolicy.window_ms - 5_000) ?? counts[0]!;
    return latest.restarts - before.restarts < defaultRestartPolicy.max_restarts - 1;
  }
}

function isCurrent({ current, offline }: { current: boolean; offline?: boolean }): boolean {
  return current && !offline;
}

function withPid(all: readonly { name: string; pid: number | null }[]): Target[] {
  return all.flatMap(({ name, pid }) => (pid === null ? [] : [{ name, pid }]));
}

/** False when the process has just ended by itself. */
function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
