export function numbers(seed: number): () => number;
