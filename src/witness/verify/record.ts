/**
 * The quick check of a payload that is a record of the sort that most are: the columns say what it says, byte by byte,
 * without making values of either.
 */
import type { Json } from '../../../machines/record.ts';
import type { ChainName } from '../chain-name.ts';
import type { Stored } from '../columns.ts';
import { componentOf, derive } from '../derive.ts';
import { at } from './field-check.ts';
import { fields, PayloadScan } from './scan.ts';
import { held, type TableRows } from './table.ts';

/** Of rows whose texts were found to be UTF-8. */
export class RecordCheck {
  readonly #row: TableRows;
  readonly #scan = new PayloadScan();
  /** Kinds with their components, as they are written. */
  readonly #components: Array<readonly [kind: Uint8Array, component: Uint8Array]> = [];

  constructor(row: TableRows) {
    this.#row = row;
  }

  /** Whether the row has a cost or a number of tokens. */
  #namesCost(): boolean {
    const { types } = this.#row;
    return (
      types[at.cost_usd] !== held.nothing ||
      types[at.tokens_in] !== held.nothing ||
      types[at.tokens_out] !== held.nothing
    );
  }

  /**
   * Whether the payload is a record of the sort that most are, and the columns say what it says. False is no answer: the
   * row is checked by its values then.
   */
  isPlainRecord(): boolean {
    const { starts, ends } = this.#scan;
    const row = this.#row;
    const start = row.starts[at.payload] as number;
    if (!this.#scan.record(row.bytes, row.view, start, start + (row.lengths[at.payload] as number))) return false;
    const n = starts[fields.n] as number;
    if (n === 0 || (ends[fields.n] as number) - n > 15 || row.types[at.n] !== held.integer) return false;
    return (
      this.#says(fields.kind, at.kind) &&
      this.#says(fields.id, at.actor_id) &&
      this.#says(fields.by, at.swarm_id) &&
      this.#says(fields.trace_id, at.trace_id) &&
      this.#says(fields.type, at.event) &&
      this.#digits(n, ends[fields.n] as number) === row.numbers[at.n] &&
      this.#isOfPlainKind() &&
      this.#saysCost()
    );
  }

  /** Whether a field is a text, and that of a column. Both were found to be UTF-8 when the row was hashed. */
  #says(field: number, column: number): boolean {
    const row = this.#row;
    const start = this.#scan.starts[field] as number;
    const length = row.lengths[column] as number;
    if (start === 0 || row.bytes[start] !== quote || row.types[column] !== held.text) return false;
    if ((this.#scan.ends[field] as number) - start - 2 !== length) return false;
    const stored = row.starts[column] as number;
    for (let place = 0; place < length; place++)
      if (row.bytes[start + 1 + place] !== row.bytes[stored + place]) return false;
    return true;
  }

  /** Costs are taken from the payload as values, by the one rule. */
  #saysCost(): boolean {
    const row = this.#row;
    const { starts } = this.#scan;
    if (starts[fields.cost] === 0 && starts[fields.model] === 0)
      return row.types[at.model] === held.nothing && !this.#namesCost();
    const event = { type: '', cost: this.#json(fields.cost), model: this.#json(fields.model) };
    const derived = derive(anyChain, 2, { kind: '', id: '', n: 0, by: '', trace_id: '', event });
    return (
      derived !== undefined &&
      row.value(at.model) === derived.model &&
      sameNumber(row.value(at.cost_usd), derived.cost_usd) &&
      sameNumber(row.value(at.tokens_in), derived.tokens_in) &&
      sameNumber(row.value(at.tokens_out), derived.tokens_out)
    );
  }

  #json(field: number): Json {
    const start = this.#scan.starts[field] as number;
    return start === 0 ? null : JSON.parse(this.#row.bytes.toString('utf8', start, this.#scan.ends[field]));
  }

  /** Whether the row is of a kind whose rows belong to who caused them, and of its component. */
  #isOfPlainKind(): boolean {
    for (const [kind, component] of this.#components)
      if (this.#row.is(at.kind, kind) && this.#row.is(at.component, component)) return true;
    const kind = this.#row.textAs(at.kind, 'utf8');
    const component = componentOf(kind);
    if (ownersByName.has(kind) || component !== this.#row.textAs(at.component, 'utf8')) return false;
    if (this.#components.length < maxKinds) this.#components.push([Buffer.from(kind), Buffer.from(component)]);
    return true;
  }

  #digits(start: number, end: number): number {
    let value = 0;
    for (let place = start; place < end; place++) {
      const digit = (this.#row.bytes[place] as number) - 0x30;
      if (digit < 0 || digit > 9) return Number.NaN;
      value = value * 10 + digit;
    }
    return value;
  }
}

const quote = 0x22;
/** Kinds whose rows belong to the swarm that their ids name, and epochs. */
const ownersByName = new Set(['swarm', 'execution', 'request', 'epoch']);
const maxKinds = 16;
const anyChain: ChainName = { label: 'IF_actors', epoch: 1, stream: 'actors' };

function sameNumber(stored: Stored, derived: number | null): boolean {
  return stored === null || derived === null ? stored === derived : Number(stored) === derived;
}
