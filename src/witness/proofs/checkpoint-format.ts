/**
 * Checkpoints as they are written: one JSON object each, in a file one per line. Whatever is read here has the form of one;
 * whether to believe it is for the trusted keys to say.
 */
import { z } from 'zod';
import { checkJsonText } from '../../data/json-text.ts';
import { FabricError } from '../../errors.ts';
import { rolledName } from './checkpoint-roll.ts';
import { type SignedHead, signedHeadSchema } from './signed-head.ts';

export const checkpointFormat = 'infrafabric-checkpoint/1';

/** The proof (RFC 6962) that a chain's tree begins with all entries of an earlier one. */
export interface ConsistencyProof {
  readonly chain: string;
  readonly from_entries: number;
  readonly from_root: string;
  readonly proof: readonly string[];
}

export interface Checkpoint {
  readonly format: typeof checkpointFormat;
  /** Milliseconds since 1970. */
  readonly issued_at: number;
  /** The key that signed it: the base64 inside its PEM block. Which keys are trusted is another matter. */
  readonly public_key: string;
  /** Of every chain that has entries, also of old epochs. */
  readonly chains: readonly SignedHead[];
  /** For every chain that the checkpoint before it in its file has, too. */
  readonly consistency?: readonly ConsistencyProof[] | undefined;
  /** When it is the first of its file: the name of the file, beside this one, that the checkpoint before it is in. */
  readonly follows?: string | undefined;
}

export interface CheckpointFile {
  readonly checkpoints: readonly Checkpoint[];
  /** The line, counted from 1, that the file breaks off in; undefined when it does not. */
  readonly cut_line: number | undefined;
}

const hash = z.string().regex(/^[0-9a-f]{64}$/);

/** The length of a path from a leaf to the root of the largest tree that numbers of 53 bits count. */
export const maxProofHashes = 64;

const schema = z.strictObject({
  format: z.literal(checkpointFormat),
  issued_at: z.int(),
  public_key: z.string().regex(/^[A-Za-z0-9+/]+={0,2}$/),
  chains: z.array(signedHeadSchema).min(1),
  consistency: z
    .array(
      z.strictObject({
        chain: z.string().min(1).max(64),
        from_entries: z.int().min(1),
        from_root: hash,
        proof: z.array(hash).max(maxProofHashes),
      }),
    )
    .optional(),
  follows: z.string().regex(rolledName).optional(),
}) satisfies z.ZodType<Checkpoint>;

/**
 * The checkpoints of a file: one per line, or one that spans lines. A last line that a crash cut off is passed over.
 * @param content its bytes, or its text
 * @throws FabricError INVALID_REQUEST naming the line, also when there is none at all.
 */
export function readCheckpoints(content: string | Uint8Array): Checkpoint[] {
  return [...readCheckpointFile(content).checkpoints];
}

/** The same, and whether something was passed over. @throws FabricError as `readCheckpoints` */
export function readCheckpointFile(content: string | Uint8Array): CheckpointFile {
  const text = typeof content === 'string' ? content : textOf(content);
  const whole = parse(text);
  if (whole !== undefined) return { checkpoints: [toCheckpoint(whole, text, 'the file')], cut_line: undefined };
  let cut_line: number | undefined;
  const checkpoints = documentsOf(text).flatMap(({ line, text: document, isFinished }) => {
    const value = parse(document);
    if (value !== undefined || line === 1 || isFinished) return [toCheckpoint(value, document, `line ${line}`)];
    cut_line = line;
    return [];
  });
  if (checkpoints.length === 0) throw notOne('the file', 'it holds none');
  return { checkpoints, cut_line };
}

/** Other bytes must not read as the same text. */
function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw notOne('the file', 'it is not text in UTF-8');
  }
}

interface Document {
  /** Where it begins, counted from 1. */
  readonly line: number;
  readonly text: string;
  /** Lines are written with their end, so what has none was never finished. */
  readonly isFinished: boolean;
}

/** One per line, or from a line that is `{` to one that is `}`, as JSON is written for people. */
function documentsOf(text: string): Document[] {
  const lines = text.split('\n');
  const documents: Document[] = [];
  for (let at = 0; at < lines.length; at++) {
    const end = lines[at] === '{' ? lines.indexOf('}', at) : at;
    const last = end === -1 ? lines.length - 1 : end;
    const document = lines.slice(at, last + 1).join('\n');
    if (document.trim() !== '') documents.push({ line: at + 1, text: document, isFinished: last < lines.length - 1 });
    at = last;
  }
  return documents;
}

export function formatCheckpoint(checkpoint: Checkpoint): string {
  return `${JSON.stringify(checkpoint)}\n`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function toCheckpoint(value: unknown, text: string, where: string): Checkpoint {
  if (value === undefined) throw notOne(where, 'it is not JSON');
  const { data, error } = schema.safeParse(value);
  if (!data) {
    const [issue] = error.issues;
    throw notOne(where, `${issue?.path.join('.') || 'it'}: ${issue?.message ?? ''}`);
  }
  try {
    checkJsonText(text);
  } catch (error) {
    throw notOne(where, error instanceof Error ? error.message : String(error));
  }
  const chains = data.chains.map((head) => head.chain);
  if (new Set(chains).size !== chains.length) throw notOne(where, 'it has several heads of one chain');
  return data;
}

function notOne(where: string, why: string): FabricError {
  return new FabricError(
    'INVALID_REQUEST',
    `${where} is not a checkpoint of the witness (${why}); give a file that \`infrafabric witness checkpoint\` or the witness wrote`,
  );
}
