/** Where a page of a query ended, as an opaque text. Rows are never changed, so a cursor stays valid for ever. */
import { FabricError } from '../../errors.ts';

export interface Cursor {
  readonly timestamp: number;
  readonly chain: string;
  readonly seq: number;
}

type Order = 'asc' | 'desc';

export function writeCursor(order: Order, { timestamp, chain, seq }: Cursor): string {
  return Buffer.from(JSON.stringify([order, timestamp, chain, seq])).toString('base64url');
}

/** @throws FabricError INVALID_REQUEST when it is not a cursor, or of a query in the other order. */
export function readCursor(text: string, order: Order): Cursor {
  const [of, timestamp, chain, seq] = parse(text);
  if (typeof timestamp !== 'number' || typeof chain !== 'string' || typeof seq !== 'number') {
    throw new FabricError(
      'INVALID_REQUEST',
      `${JSON.stringify(text.slice(0, 80))} is not a cursor; send the one of the page before, unchanged`,
    );
  }
  if (of !== order)
    throw new FabricError(
      'INVALID_REQUEST',
      `the cursor is of a query in order ${JSON.stringify(of)}; keep order and filters while paging`,
    );
  return { timestamp, chain, seq };
}

function parse(text: string): unknown[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    return Array.isArray(parts) ? parts : [];
  } catch {
    return [];
  }
}
