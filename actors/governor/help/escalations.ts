/**
 * People are told of each blocker that was escalated, once: a register says of which they were told, so that neither a
 * second governor nor a restart tells them again, and nothing is lost with a process that ends in between.
 */
import type { Notice, NoticeType } from '../../../src/store/mailbox-message.ts';
import type { StoredRecord } from '../../../src/store/record-log.ts';
import { escalatedNotice } from '../../coordinator/blockers/blocker-notices.ts';
import type { GovernorParts } from '../part.ts';

/** The register that says of which blockers people were told. */
const toldRegister = 'blocker-told';
const toldForMs = 365 * 86_400_000;
/** A mailbox that refuses is tried again after this time, milliseconds. */
const refusedMs = 30_000;

export interface EscalationParts extends Pick<GovernorParts, 'registers' | 'clock' | 'log'> {
  /** Resolves when the notice is stored; the same notice again, within two minutes, changes nothing. @throws FabricError */
  readonly deliver: (to: string, type: NoticeType, notice: Notice) => Promise<void>;
}

interface Untold {
  readonly stored: StoredRecord;
  readonly notBefore: number;
}

export class Escalations {
  readonly #parts: EscalationParts;
  readonly #untold = new Map<string, Untold>();
  /** Open blockers of which people were told by this process, or before. */
  readonly #told = new Set<string>();
  #telling: Promise<void> | undefined;
  #stopped = false;

  constructor(parts: EscalationParts) {
    this.#parts = parts;
  }

  /** A blocker is escalated, as this record of it says. */
  add(stored: StoredRecord): void {
    const { id } = stored.record;
    if (this.#told.has(id) || this.#untold.has(id)) return;
    this.#untold.set(id, { stored, notBefore: 0 });
    this.tellAll();
  }

  /** It is open no more. */
  forget(blocker_id: string): void {
    this.#told.delete(blocker_id);
    this.#untold.delete(blocker_id);
  }

  /** One after the other, so that many at a start ask little at a time. */
  tellAll(): void {
    if (this.#stopped || this.#untold.size === 0) return;
    this.#telling ??= this.#tellUntold().finally(() => {
      this.#telling = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#telling;
  }

  async #tellUntold(): Promise<void> {
    const { clock, log } = this.#parts;
    for (const [blocker_id, { stored, notBefore }] of this.#untold) {
      if (this.#stopped) return;
      if (notBefore > clock.now()) continue;
      try {
        await this.#tell(stored);
        // It may have ended meanwhile.
        if (this.#untold.delete(blocker_id)) this.#told.add(blocker_id);
      } catch (error) {
        if (this.#untold.has(blocker_id)) this.#untold.set(blocker_id, { stored, notBefore: clock.now() + refusedMs });
        log.warn({ err: error, blocker_id }, 'people were not told yet of an escalated blocker');
      }
    }
  }

  async #tell(stored: StoredRecord): Promise<void> {
    const { registers, deliver } = this.#parts;
    const { id } = stored.record;
    const { escalated_at } = stored.record.snapshot.context as { escalated_at: number };
    const told = await registers.read(toldRegister, id);
    if (told?.value === escalated_at) return;
    const { to, notice } = escalatedNotice(stored);
    await deliver(to, 'escalation', notice);
    // Another governor may have told the same; whoever comes to it is content.
    await registers.change(toldRegister, id, escalated_at, toldForMs, told?.revision ?? 0);
  }
}
