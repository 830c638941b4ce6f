/**
 * Names of chains: `<label>/<epoch>`, one chain per audited stream and epoch, such as `IF_actors/1`. The label's ending
 * says what the messages of the stream are.
 */
import { FabricError } from '../errors.ts';

/** The kind of stream that a label names. */
export type StreamKind = 'actors' | 'bus' | 'journal';

export interface ChainName {
  readonly label: string;
  /** Counted from 1. */
  readonly epoch: number;
  readonly stream: StreamKind;
}

const pattern = /^([A-Z][A-Z0-9_]{0,15}_(actors|bus|journal))\/([1-9][0-9]{0,14})$/;

export function formatChain(label: string, epoch: number): string {
  return `${label}/${epoch}`;
}

/** The parts of a chain's name; undefined when it is not one. */
export function parseChain(chain: string): ChainName | undefined {
  const match = pattern.exec(chain);
  if (!match) return undefined;
  const [, label = '', stream = '', epoch = ''] = match;
  return { label, stream: stream as StreamKind, epoch: Number(epoch) };
}

/** @throws FabricError INVALID_REQUEST when it is not the name of a chain. */
export function requireChain(chain: string): ChainName {
  const name = parseChain(chain);
  if (!name)
    throw new FabricError(
      'INVALID_REQUEST',
      `${JSON.stringify(chain)} is not the name of a chain; use <stream>/<epoch>, such as IF_actors/1`,
    );
  return name;
}
