/** What a verification finds wrong, and the list that it is kept in. */

export type FaultCode =
  | 'HASH_MISMATCH'
  | 'CHAIN_BROKEN'
  | 'SEQ_MISSING'
  | 'SEQ_DUPLICATE'
  | 'FIELD_TYPE'
  | 'CHECKPOINT_MISMATCH'
  | 'TRUNCATED'
  | 'SIGNATURE_INVALID'
  | 'UNREADABLE';

export interface Fault {
  /** The number of the entry; 0 when the fault is not in one. */
  readonly seq: number;
  readonly code: FaultCode;
  readonly message: string;
}

/** Faults listed per chain. */
export const maxFaults = 1_000;

/** The faults of one chain. Bounded: when it is full the last one listed says how many more there are. */
export class FaultList {
  readonly #listed: Fault[] = [];
  #more = 0;

  add(seq: number, code: FaultCode, message: string): void {
    if (this.#listed.length < maxFaults) this.#listed.push({ seq, code, message });
    else this.#more += 1;
  }

  get any(): boolean {
    return this.#listed.length > 0;
  }

  all(): Fault[] {
    const last = this.#listed.at(-1);
    if (this.#more === 0 || !last) return [...this.#listed];
    return [...this.#listed, { ...last, message: `${this.#more} more faults of this chain are not listed` }];
  }
}
