/** The published test vectors of trees, heads and receipts are what a witness with those rows and that key signs. */
import { createPrivateKey } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { WitnessDatabase } from '../../src/witness/database.ts';
import { signingKeyFile } from '../../src/witness/files.ts';
import { issueCheckpoint } from '../../src/witness/proofs/checkpoint.ts';
import { leafHash } from '../../src/witness/proofs/merkle.ts';
import { makeReceipt } from '../../src/witness/proofs/receipt.ts';
import { statementOf } from '../../src/witness/proofs/signed-head.ts';
import { openSigningKey } from '../../src/witness/proofs/signing-key.ts';
import { requireTree } from '../../src/witness/proofs/tree.ts';
import { tempDir } from '../support/temp.ts';
import { actorMessage, actors, taskRecord } from './messages.ts';

const docs = readFileSync(new URL('../../docs/witness-chain.md', import.meta.url), 'utf8');

/** The PEM of the key whose secret bytes are 00 01 02 ... 1f. */
function knownKey(): string {
  const secret = Buffer.from(Array.from({ length: 32 }, (_, at) => at));
  const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), secret]);
  return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
    .export({ format: 'pem', type: 'pkcs8' })
    .toString();
}

it('the published heads and receipts are what the witness signs', async () => {
  const folder = await tempDir();
  mkdirSync(join(folder.path, 'keys'));
  writeFileSync(signingKeyFile(folder.path), knownKey());
  const witness = WitnessDatabase.open(join(folder.path, 'witness.db'));
  try {
    const first = actorMessage(1, taskRecord(1, { trace_id: 'trace-é🐝' }));
    witness.appendBatch(actors, [first, actorMessage(4)], () => 'trimmed');
    const key = await openSigningKey(folder.path);
    const { chains } = issueCheckpoint(witness.sqlite, key, 1_763_700_000_005);
    const receipt = makeReceipt(witness.sqlite, { kind: 'task', id: 't-0' }, chains, key);
    const tree = requireTree(witness.sqlite, actors);
    const [head] = chains;
    if (!head) throw new Error('nothing was signed');
    expect(docs).toContain(statementOf(head));
    expect(receipt.entries).toHaveLength(3);
    const published = [
      ...receipt.entries.map((entry) => leafHash(entry.content_hash).toString('hex')),
      ...[1, 2, 3].map((size) => tree.rootAt(size)),
      key.publicKey,
      key.fingerprint,
      head.signature,
      receipt.signature ?? 'none',
    ];
    for (const each of published) expect(docs).toContain(`\`${each}\``);
  } finally {
    witness.close();
    await folder.remove();
  }
});
