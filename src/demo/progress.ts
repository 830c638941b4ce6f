/** Progress for people, on stderr: one line that changes on a terminal, occasional lines everywhere else. */

import type { Sink } from '../cli/output.ts';
import { escapeControls } from '../cli/terminal-text.ts';

/** Without a terminal a count is told when it has grown by this share of the whole. */
const step = 0.25;

export class Progress {
  readonly #sink: Sink;
  readonly #live: boolean;
  #told = 0;

  constructor(sink: Sink) {
    this.#sink = sink;
    this.#live = sink.isTTY === true;
  }

  /** A step of the whole. */
  say(text: string): void {
    this.#told = 0;
    if (this.#live) this.#redraw(text);
    else this.#sink.write(`${escapeControls(text)}\n`);
  }

  /** How far a step is. */
  count(text: string, done: number, all: number): void {
    if (this.#live) this.#redraw(text);
    else if (done / all >= this.#told + step || done === all) {
      this.#told = done / all;
      this.#sink.write(`${escapeControls(text)}\n`);
    }
  }

  /** Takes the changing line away. */
  clear(): void {
    if (this.#live) this.#sink.write('\r\u001b[2K');
  }

  #redraw(text: string): void {
    // Some terminals say 0 when they do not know.
    const width = this.#sink.columns || 80;
    this.#sink.write(`\r\u001b[2K${escapeControls(text).slice(0, width - 1)}`);
  }
}
