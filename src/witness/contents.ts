/** What a witness database holds: which tables beside that of the entries, and which chains. */
import type Sqlite from 'better-sqlite3';
import { parseChain } from './chain-name.ts';

export function hasTable(sqlite: Sqlite.Database, name: string): boolean {
  const table = sqlite.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?");
  return table.get(name) !== undefined;
}

/** Steps from chain to chain along the key, however many entries lie between. */
const storedChains = `
  WITH RECURSIVE found (chain) AS (
    SELECT min(chain) FROM entries
    UNION ALL
    SELECT (SELECT min(chain) FROM entries WHERE chain > found.chain) FROM found WHERE found.chain IS NOT NULL
  )
  SELECT chain FROM found WHERE chain IS NOT NULL`;

/** The names of all chains, also of those whose entries were all pruned; by label and epoch. */
export function chainsOf(sqlite: Sqlite.Database): string[] {
  const pruned = hasTable(sqlite, 'pruned') ? 'UNION SELECT chain FROM pruned' : '';
  const chains = sqlite.prepare<[], string>(`${storedChains} ${pruned}`).pluck().all();
  return chains
    .flatMap((chain) => parseChain(chain) ?? [])
    .sort((a, b) => (a.label === b.label ? a.epoch - b.epoch : a.label < b.label ? -1 : 1))
    .map(({ label, epoch }) => `${label}/${epoch}`);
}
