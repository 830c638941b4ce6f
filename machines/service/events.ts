/** What can happen to a supervised service. */
import type { MachineEvent } from '../machine.ts';
import type { RestartPolicy } from './context.ts';

/** A supervisor starts the service; from another process also over a record that a crash left behind. */
export interface StartService extends MachineEvent {
  readonly type: 'START';
  pid: number;
  host: string;
  version: string;
  /** Default: `defaultRestartPolicy`. */
  policy?: RestartPolicy;
}

export interface ServiceReady extends MachineEvent {
  readonly type: 'READY';
  /** The process in which it runs. Default: that of its supervisor. */
  pid?: number;
}

/** The service ended; unless it was asked to, it is started again. */
export interface ServiceExit extends MachineEvent {
  readonly type: 'EXIT';
  reason: string;
}

/** The wait before a restart is over. */
export interface RetryService extends MachineEvent {
  readonly type: 'RETRY';
}

export interface StopService extends MachineEvent {
  readonly type: 'STOP';
}

export interface ServiceStopped extends MachineEvent {
  readonly type: 'STOPPED';
}

/** The supervisor gives up. */
export interface EscalateService extends MachineEvent {
  readonly type: 'ESCALATE';
  reason: string;
}

export type ServiceEvent =
  | StartService
  | ServiceReady
  | ServiceExit
  | RetryService
  | StopService
  | ServiceStopped
  | EscalateService;

export type ServiceEventType = ServiceEvent['type'];

export type ServiceEventOf<Type extends ServiceEventType> = Extract<ServiceEvent, { readonly type: Type }>;
