/**
 * Receipts as they are written: one JSON object with entries of the witness, the proofs that they are in its chains, and
 * the signed heads that the proofs lead to.
 */
import { z } from 'zod';
import { type Column, columns, type Stored } from '../columns.ts';
import type { Entry } from '../entry.ts';
import { maxProofHashes } from './checkpoint-format.ts';
import { type SignedHead, signedHeadSchema } from './signed-head.ts';

export const receiptFormat = 'infrafabric-receipt/1';

/** Entries of one receipt; a longer history is proved entry by entry. */
export const maxReceiptEntries = 10_000;

export interface EntryProof {
  readonly chain: string;
  readonly seq: number;
  /** The place of the entry in its chain, counted from 0. */
  readonly index: number;
  /** From the leaf's sibling upwards. */
  readonly path: readonly string[];
}

export interface Receipt {
  readonly format: typeof receiptFormat;
  /** `<kind>:<id>`, or null for one entry by itself. */
  readonly actor: string | null;
  /** Milliseconds since 1970: when the newest of the heads was signed. */
  readonly issued_at: number;
  /** In order of epoch and number, every column as stored. Between entries of an actor there may be gap rows. */
  readonly entries: readonly Entry[];
  /** One per entry, in the same order. */
  readonly proofs: readonly EntryProof[];
  /** The key that signed: the base64 inside its PEM block. */
  readonly public_key: string;
  /** Of the chains that the entries are in. */
  readonly checkpoints: readonly SignedHead[];
  /** The witness' word that these are all entries of the actor up to the heads; null when it was not there to give it. */
  readonly signature: string | null;
}

const loneSurrogate = /\p{Surrogate}/u;
const hash = z.string().regex(/^[0-9a-f]{64}$/);

// Values that differ but have the same bytes in the hash are told apart here.
const text = z.string().refine((value) => !loneSurrogate.test(value), 'it has a lone surrogate');
const isPlainZero = (value: number) => !Object.is(value, -0);
const types = {
  TEXT: text,
  INTEGER: z.int().refine(isPlainZero, 'it is negative zero'),
  REAL: z.number().refine(isPlainZero, 'it is negative zero'),
};

function columnSchema({ name, type, nullable }: Column): z.ZodType {
  if (name === 'prev_hash' || name === 'content_hash') return hash;
  return nullable ? types[type].nullable() : types[type];
}

const entrySchema = z.strictObject(
  Object.fromEntries(columns.map((column) => [column.name, columnSchema(column)])),
) as unknown as z.ZodType<Entry>;

export const receiptSchema: z.ZodType<Receipt> = z.strictObject({
  format: z.literal(receiptFormat),
  actor: text.nullable(),
  issued_at: z.int(),
  entries: z.array(entrySchema).min(1).max(maxReceiptEntries),
  proofs: z
    .array(
      z.strictObject({
        chain: z.string(),
        seq: z.int().min(1),
        index: z.int().min(0),
        path: z.array(hash).max(maxProofHashes),
      }),
    )
    .max(maxReceiptEntries),
  public_key: z.string().regex(/^[A-Za-z0-9+/]+={0,2}$/),
  checkpoints: z.array(signedHeadSchema).min(1).max(maxReceiptEntries),
  signature: z
    .string()
    .regex(/^[A-Za-z0-9+/]{86}==$/)
    .nullable(),
});

/** When the newest of some heads was signed. */
export function newestOf(heads: readonly SignedHead[]): number {
  return heads.reduce((newest, { issued_at }) => Math.max(newest, issued_at), Number.NEGATIVE_INFINITY);
}

/** A row as an entry; undefined when it holds a type that the witness never writes. */
export function entryFromRow(row: readonly Stored[]): Entry | undefined {
  const fields = columns.map(({ name }, at) => {
    const value = row[at];
    return [name, typeof value === 'bigint' ? Number(value) : value];
  });
  const { data } = entrySchema.safeParse(Object.fromEntries(fields));
  return data;
}
