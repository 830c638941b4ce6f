/**
 * Text on a terminal: what agents wrote is shown, never obeyed. Control characters, invisible format characters and text
 * that would run the other way are written out; width is counted in columns of the terminal.
 */

/** Controls (C0, C1, DEL), format characters but the joiners that scripts need, line separators, half surrogates. */
const unsafe = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

const shortEscapes: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** The text on one line, with everything that a terminal could take for a command written out: ESC is `\x1b`. */
export function escapeControls(text: string): string {
  return text.replace(unsafe, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return (
      shortEscapes[char] ?? (code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`)
    );
  });
}

/** JSON text with the same characters as JSON escapes: the value stays the same. Line breaks of the layout stay. */
export function escapeJsonControls(json: string): string {
  const escapeUnit = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return json.replace(unsafe, (char) => (char === '\n' ? char : char.split('').map(escapeUnit).join('')));
}

/** Hangul, kana, CJK and emoji take two columns. Ranges of Unicode's East Asian Width W and F, in rough. */
const wide =
  /[\u1100-\u115f\u231a\u231b\u2329\u232a\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6]|[\u{16fe0}-\u{1b2ff}]|[\u{1f200}-\u{1f320}]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]|\ufe0f/u;

function graphemes(text: string): Iterable<{ segment: string }> {
  return new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(text);
}

function widthOf(grapheme: string): number {
  if (/^[\p{Mn}\p{Me}\u200c\u200d]/u.test(grapheme)) return 0;
  return wide.test(grapheme) ? 2 : 1;
}

/** The columns that an escaped text takes. */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes(text)) width += widthOf(segment);
  return width;
}

/** The text in at most `width` columns; what is cut is marked with an ellipsis. */
export function truncate(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let [kept, used] = ['', 0];
  for (const { segment } of graphemes(text)) {
    used += widthOf(segment);
    if (used > width - 1) break;
    kept += segment;
  }
  return width < 1 ? '' : `${kept}…`;
}
