/** Which of the known names was probably meant: the one of the smallest edit distance, the first of several. */
export function nearest<T extends string>(typed: string, known: readonly T[]): T | undefined {
  const plain = typed.slice(0, 64).toLowerCase().replaceAll('-', '_');
  let best: { name: T; distance: number } | undefined;
  for (const name of known) {
    const distance = editDistance(plain, name);
    if (!best || distance < best.distance) best = { name, distance };
  }
  return best?.name;
}

/** Levenshtein's distance: insertions, deletions and replacements of one character. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
