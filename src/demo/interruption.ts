/**
 * What an interruption means to the demo: from then on it only cleans up, and whatever else fails is a consequence of it.
 * No such failure, not even one that nobody waits for, cuts the clean-up short or changes how the demo ends.
 */

/** Told of what failed after the interruption, or because of it. */
export type OnConsequence = (error: unknown) => void;

/**
 * From the moment that the signal aborts, errors that nobody caught no longer end this process. Lasts until the function
 * that is returned is called; before the signal aborts, such errors end it as ever.
 */
export function outliveFailures(signal: AbortSignal, onConsequence: OnConsequence): () => void {
  const begin = () => process.on('uncaughtException', onConsequence);
  if (signal.aborted) begin();
  else signal.addEventListener('abort', begin, { once: true });
  return () => {
    signal.removeEventListener('abort', begin);
    process.off('uncaughtException', onConsequence);
  };
}

/** As `run`, but once the signal has aborted it rejects with the signal's reason, however `run` ends. */
export async function orInterrupted<T>(
  signal: AbortSignal,
  onConsequence: OnConsequence,
  run: () => Promise<T>,
): Promise<T> {
  let result: T;
  try {
    result = await run();
  } catch (error) {
    if (!signal.aborted) throw error;
    if (error !== signal.reason) onConsequence(error);
    throw signal.reason;
  }
  signal.throwIfAborted();
  return result;
}
