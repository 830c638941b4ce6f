/** One thing with its fields, for people: a row per field. Times and money are told by the names of the fields. */
import type { Output } from './output.ts';
import { type Cell, formatTime, formatUsd } from './table.ts';

/** Fields that are objects of plain fields are shown as `outer.inner`. Nothing of it is for programs. */
export function factTable(out: Output, facts: object): void {
  const rows = flatten('', facts).map(([field, value]) => ({ field, value }));
  out.table([{ key: 'field' }, { key: 'value', align: 'left' }], rows);
}

function flatten(prefix: string, facts: object): Array<[string, Cell]> {
  return Object.entries(facts).flatMap(([key, value]: [string, unknown]): Array<[string, Cell]> => {
    const field = `${prefix}${key}`;
    const isNested = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (isNested && prefix === '' && Object.keys(value).length > 0 && key !== 'metadata')
      return flatten(`${field}.`, value);
    return [[field, cellOf(key, value)]];
  });
}

function cellOf(key: string, value: unknown): Cell {
  if (value === null || value === undefined) return null;
  if (typeof value === 'number' && key.endsWith('_at')) return formatTime(value);
  if (typeof value === 'number' && key.endsWith('_usd')) return formatUsd(value);
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value.join(', ');
  return typeof value === 'object' ? JSON.stringify(value) : (value as Cell);
}
