/**
 * How far an audited stream was trimmed, kept in the stream's own metadata and raised before anything is removed: with it
 * a witness that starts late can tell a message that was trimmed from one that was lost.
 */
import type { JetStreamManager, StreamInfo } from '@nats-io/jetstream';

const key = 'if_trimmed_through';

/** The sequence up to which messages may have been trimmed; 0 when none were. */
export function trimmedThrough(info: StreamInfo): number {
  const mark = Number(info.config.metadata?.[key] ?? '0');
  return Number.isSafeInteger(mark) ? mark : 0;
}

/** Raises the mark; it never goes back. */
export async function raiseTrimMark(jsm: JetStreamManager, stream: string, seq: number): Promise<void> {
  // Another witness may write the mark at the same time, and put back what it read before.
  for (;;) {
    const info = await jsm.streams.info(stream);
    if (trimmedThrough(info) >= seq) return;
    await jsm.streams.update(stream, { ...info.config, metadata: { ...info.config.metadata, [key]: String(seq) } });
  }
}
