/**
 * Takes secrets out of what agents send as JSON, before anything is made of it: neither the record, nor the event, a
 * mailbox, a reply or a log ever has them. What is redacted cannot be brought back.
 */
import type { Json } from '../machines/record.ts';

/** What stands where a secret was. */
export const redacted = '[redacted]';

/** An object with this key is a secret as a whole, whatever else is in it: `{"$secret": "..."}`. */
export const secretMark = '$secret';

export class Redactor {
  readonly #names: ReadonlySet<string>;

  /** `keys` are names of fields; case, `-` and `_` do not matter: `api_key` stands for `API-Key` and `apiKey` too. */
  constructor(keys: readonly string[]) {
    this.#names = new Set(keys.map(plain));
  }

  /** The value with its secrets redacted, at any depth; the very same where it holds none. */
  redact(value: Json): Json {
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return this.#list(value);
    return isMarked(value) ? redacted : this.#object(value);
  }

  #list(list: Json[]): Json[] {
    let changed = false;
    const items = list.map((item) => {
      const kept = this.redact(item);
      changed ||= kept !== item;
      return kept;
    });
    return changed ? items : list;
  }

  #object(object: { [key: string]: Json }): { [key: string]: Json } {
    let changed = false;
    const entries = Object.entries(object).map(([key, value]): [string, Json] => {
      // Whatever the type: that there is a number, a list or nothing would tell something too.
      const kept = this.#names.has(plain(key)) ? redacted : this.redact(value);
      changed ||= kept !== value;
      return [key, kept];
    });
    return changed ? Object.fromEntries(entries) : object;
  }
}

/** Whether a value is marked as a secret by whoever sent it. */
export function isMarked(value: Json): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, secretMark);
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '');
}
