/** The Merkle tree against RFC 6962, exhaustively for small sizes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  leafHash,
  nodeHash,
  peakSizes,
  rootOfPeaks,
  splitOf,
  TreeHasher,
  verifyConsistency,
  verifyInclusion,
} from '../../src/witness/proofs/merkle.ts';
import { hex, mth, path, proof, sha } from './rfc6962.ts';

const data = Array.from({ length: 70 }, (_, at) => sha(Buffer.from(`entry ${at}`)));
const roots = Array.from({ length: 71 }, (_, size) => hex(mth(data.slice(0, size))));
const leaves = data.map((entry) => leafHash(hex(entry)));

function treeOf(size: number): TreeHasher {
  const tree = new TreeHasher();
  for (const leaf of leaves.slice(0, size)) tree.add(leaf);
  return tree;
}

describe('the tree', () => {
  it('hashes leaves and nodes with different prefixes', () => {
    expect(hex(leafHash('00'.repeat(32)))).toBe(hex(sha(Buffer.of(0), Buffer.alloc(32))));
    expect(hex(nodeHash(Buffer.alloc(32), Buffer.alloc(32, 1)))).toBe(
      hex(sha(Buffer.of(1), Buffer.alloc(32), Buffer.alloc(32, 1))),
    );
  });

  it('has the roots of RFC 6962 at every size', () => {
    for (let size = 0; size <= 70; size++) expect(treeOf(size).root()).toBe(roots[size]);
  });

  it('goes on from its peaks, which give its root', () => {
    for (let size = 0; size <= 40; size++) {
      const peaks = treeOf(size).peaks();
      expect(peaks).toHaveLength(peakSizes(size).length);
      expect(rootOfPeaks(size, peaks)).toBe(roots[size]);
      const more = new TreeHasher({ size, peaks });
      for (const leaf of leaves.slice(size)) more.add(leaf);
      expect(more.root()).toBe(roots[70]);
    }
  });

  it('refuses peaks that are none', () => {
    expect(() => rootOfPeaks(3, [roots[1] as string])).toThrow(RangeError);
    expect(() => rootOfPeaks(1, ['ZZ'.repeat(32)])).toThrow(RangeError);
    expect(() => rootOfPeaks(-1, [])).toThrow(RangeError);
    expect(() => rootOfPeaks(1.5, [roots[1] as string])).toThrow(RangeError);
  });

  it('counts beyond 32 bits', () => {
    const size = 2 ** 40 + 5;
    expect(peakSizes(size)).toEqual([2 ** 40, 4, 1]);
    expect(splitOf(size)).toBe(2 ** 40);
    const peaks = [roots[1], roots[2], roots[3]] as string[];
    const grown = new TreeHasher({ size, peaks });
    grown.add(leaves[0] as Buffer);
    expect(grown.size).toBe(size + 1);
    expect(grown.peaks()).toEqual([
      ...peaks.slice(0, 2),
      hex(nodeHash(Buffer.from(peaks[2] as string, 'hex'), leaves[0] as Buffer)),
    ]);
  });
});

describe('inclusion proofs', () => {
  it('hold for every leaf of every tree, and for nothing else', () => {
    for (let size = 1; size <= 33; size++) {
      for (let index = 0; index < size; index++) {
        const proved = {
          leaf: leaves[index] as Buffer,
          index,
          size,
          path: path(index, data.slice(0, size)).map(hex),
          root: roots[size] as string,
        };
        expect(verifyInclusion(proved)).toBe(true);
        for (const wrong of spoilt(proved)) expect(verifyInclusion(wrong), JSON.stringify(wrong)).toBe(false);
      }
    }
  });

  function spoilt(proved: Parameters<typeof verifyInclusion>[0]): Parameters<typeof verifyInclusion>[0][] {
    const { index, size } = proved;
    const indexes = [-1, index - 1, index + 1, index + size, index + 0.5, Number.NaN, size];
    const paths = [
      [...proved.path, roots[1] as string],
      [roots[1] as string, ...proved.path],
      proved.path.slice(1),
      proved.path.slice(0, -1),
      proved.path.map((hash) => hash.toUpperCase()),
      proved.path.map((_, at) => roots[at + 1] as string),
    ].filter((path) => path.join() !== proved.path.join());
    return [
      { ...proved, leaf: leaves[index + 1] as Buffer },
      { ...proved, root: roots[size + 1] as string },
      { ...proved, root: '' },
      ...indexes.map((wrong) => ({ ...proved, index: wrong })),
      ...paths.map((wrong) => ({ ...proved, path: wrong })),
    ];
  }

  it('hold for no other tree size whose path has another shape', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 70 }), fc.nat(), fc.integer({ min: 1, max: 70 }), (size, seed, other) => {
        const index = seed % size;
        const proved = { leaf: leaves[index] as Buffer, index, path: path(index, data.slice(0, size)).map(hex) };
        expect(verifyInclusion({ ...proved, size, root: roots[size] as string })).toBe(true);
        if (other !== size)
          expect(verifyInclusion({ ...proved, size: other, root: roots[other] as string })).toBe(false);
      }),
    );
  });

  it('take no inner node for a leaf', () => {
    const inner = nodeHash(leaves[0] as Buffer, leaves[1] as Buffer);
    const root = roots[4] as string;
    const upper = [hex(nodeHash(leaves[2] as Buffer, leaves[3] as Buffer))];
    expect(verifyInclusion({ leaf: inner, index: 0, size: 4, path: upper, root })).toBe(false);
    // With a size that is not signed it would pass: a size is only ever taken from beside its root.
    expect(verifyInclusion({ leaf: inner, index: 0, size: 2, path: upper, root })).toBe(true);
  });
});

describe('consistency proofs', () => {
  it('hold between all sizes, and for nothing else', () => {
    for (let to_size = 1; to_size <= 33; to_size++) {
      for (let from_size = 1; from_size <= to_size; from_size++) {
        const proved = {
          from_size,
          from_root: roots[from_size] as string,
          to_size,
          to_root: roots[to_size] as string,
          proof: proof(from_size, data.slice(0, to_size)).map(hex),
        };
        expect(verifyConsistency(proved)).toBe(true);
        for (const wrong of spoilt(proved)) expect(verifyConsistency(wrong), JSON.stringify(wrong)).toBe(false);
      }
    }
  });

  function spoilt(proved: Parameters<typeof verifyConsistency>[0]): Parameters<typeof verifyConsistency>[0][] {
    const proofs = [
      [...proved.proof, roots[1] as string],
      [roots[2] as string, ...proved.proof],
      proved.proof.slice(1),
      proved.proof.slice(0, -1),
      proved.proof.map((_, at) => roots[at + 1] as string),
    ].filter((wrong) => wrong.join() !== proved.proof.join());
    const swapped = {
      from_size: proved.to_size,
      from_root: proved.to_root,
      to_size: proved.from_size,
      to_root: proved.from_root,
    };
    return [
      { ...proved, from_root: roots[proved.from_size + 1] as string },
      { ...proved, to_root: roots[proved.to_size + 1] as string },
      { ...proved, from_root: '' },
      { ...proved, from_size: 0 },
      { ...proved, from_size: -1 },
      { ...proved, from_size: proved.from_size + 0.5 },
      { ...proved, to_size: Number.NaN },
      ...(proved.from_size < proved.to_size ? [{ ...proved, ...swapped }] : []),
      ...proofs.map((wrong) => ({ ...proved, proof: wrong })),
    ];
  }

  it('hold for no history that was changed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 40 }), fc.nat(), fc.nat(), (to_size, a, b) => {
        const from_size = 1 + (a % (to_size - 1));
        const changed = [...data.slice(0, to_size)];
        changed[b % from_size] = sha(Buffer.from('changed'));
        const proved = { from_size, from_root: roots[from_size] as string, to_size, to_root: hex(mth(changed)) };
        expect(verifyConsistency({ ...proved, proof: proof(from_size, changed).map(hex) })).toBe(false);
      }),
    );
  });
});
