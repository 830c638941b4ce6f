/** What a piece of work has cost: the one form in which events tell it, and which the witness adds up. */
export interface Cost {
  /** US dollars with at most six decimals. */
  cost_usd: number;
  tokens_in?: number;
  tokens_out?: number;
  model?: string;
}
