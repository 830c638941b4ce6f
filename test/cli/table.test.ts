import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { formatDuration, formatTime, formatUsd, renderTable } from '../../src/cli/table.ts';
import { displayWidth, escapeControls, truncate } from '../../src/cli/terminal-text.ts';

const columns = [{ key: 'id' }, { key: 'n', title: 'tries' }, { key: 'note' }] as const;

describe('a table', () => {
  it('aligns columns, numbers to the right, without borders or trailing spaces', () => {
    const rows = [
      { id: 'a', n: 1, note: 'first' },
      { id: 'long-id', n: 1234, note: null },
      { id: 'b', note: '' },
    ];
    expect(renderTable(columns, rows).split('\n')).toEqual([
      'ID       TRIES  NOTE',
      'a            1  first',
      'long-id   1234  -',
      'b            -  -',
    ]);
  });

  it('says so when it has no rows', () => {
    expect(renderTable(columns, [])).toBe('nothing to show');
    expect(renderTable(columns, [], { empty: 'no tasks' })).toBe('no tasks');
  });

  it('has bold titles with colour only, and no escape sequence without', () => {
    const rows = [{ id: 'a' }];
    expect(renderTable([{ key: 'id' }], rows, { color: true })).toBe('\u001b[1mID\u001b[22m\na');
    expect(renderTable([{ key: 'id' }], rows)).toBe('ID\na');
  });

  it('cuts the widest cells to fit the terminal, and nothing without one', () => {
    const rows = [{ id: 'short', n: 1, note: 'x'.repeat(200) }];
    for (const width of [30, 40, 80]) {
      const lines = renderTable(columns, rows, { width }).split('\n');
      expect(Math.max(...lines.map(displayWidth))).toBe(width);
      expect(lines[1]).toMatch(/^short {6}1 {2}x+…$|^short\s+1\s+x+…$/);
    }
    expect(renderTable(columns, rows)).toContain('x'.repeat(200));
  });

  it('fits any terminal, however narrow', () => {
    const rows = [{ id: 'a'.repeat(50), n: 10 ** 15, note: '漢字'.repeat(20) }];
    for (let width = 1; width < 140; width++) {
      for (const color of [false, true]) {
        const lines = stripVTControlCharacters(renderTable(columns, rows, { width, color })).split('\n');
        expect(Math.max(...lines.map(displayWidth)), String(width)).toBeLessThanOrEqual(width);
      }
    }
  });

  it('keeps columns in line when cells hold wide, combining or emoji characters', () => {
    const rows = ['漢字', 'e\u0301', '💾', '👩‍👩‍👧', '🇩🇪', 'ab'].map((id) => ({ id, note: '|' }));
    const lines = renderTable([{ key: 'id' }, { key: 'note' }], rows)
      .split('\n')
      .slice(1);
    expect(lines.map((line) => displayWidth(line.slice(0, line.indexOf('|'))))).toEqual([6, 6, 6, 6, 6, 6]);
    expect(['漢字', 'e\u0301', '💾', '👩‍👩‍👧', '🇩🇪', 'é'].map(displayWidth)).toEqual([4, 1, 2, 2, 2, 1]);
  });

  it('shows what agents wrote and never hands a control character to the terminal', () => {
    const hostile = [
      '\u001b[2J\u001b]0;owned\u0007',
      '\u009b31m',
      'a\r\nb\tc',
      '\u202egnp.exe',
      '\u2028\u2029\u200e\u2066\ufeff\u00ad',
      '\u{e0041}',
      '\ud800',
      '\u007f\0\b',
    ];
    const text = renderTable(
      [{ key: 'id', title: '\u001b[1mx' }],
      hostile.map((id) => ({ id })),
    );
    expect(text).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
    expect(text.split('\n')).toHaveLength(hostile.length + 1);
    expect(escapeControls('\u001b[2J\n\u202e')).toBe('\\x1b[2J\\n\\u{202e}');
  });

  it('cuts between characters as people see them', () => {
    expect(truncate('👩‍👩‍👧👩‍👩‍👧', 3)).toBe('👩‍👩‍👧…');
    expect(truncate('漢字漢字', 4)).toBe('漢…');
    expect([truncate('abc', 3), truncate('abcd', 3), truncate('abc', 1), truncate('abc', 0)]).toEqual([
      'abc',
      'ab…',
      '…',
      '',
    ]);
  });
});

describe('durations, times and money', () => {
  it.each([
    [0, '0 ms'],
    [0.456, '0.45 ms'],
    [9.999, '9.99 ms'],
    [850.7, '850 ms'],
    [1_000, '1 s'],
    [1_590, '1.5 s'],
    [59_999, '59.9 s'],
    [60_000, '1 m 00 s'],
    [125_000, '2 m 05 s'],
    [3_600_000, '1 h 00 m'],
    [176_461_000, '2 d 01 h'],
    [-1_500, '-1.5 s'],
    [Number.NaN, '-'],
    [Number.POSITIVE_INFINITY, '-'],
  ])('writes %d ms as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it('writes times in UTC, to the second', () => {
    expect(formatTime(Date.UTC(2026, 0, 2, 3, 4, 5, 678))).toBe('2026-01-02 03:04:05Z');
    expect([formatTime(null), formatTime(undefined), formatTime(Number.NaN), formatTime(9e15)]).toEqual([
      '-',
      '-',
      '-',
      '-',
    ]);
  });

  it.each([
    [0, '$0.00'],
    [1.5, '$1.50'],
    [1234567.891, '$1,234,567.891'],
    [0.000123, '$0.000123'],
    [-2, '-$2.00'],
    [-0.0000001, '$0.00'],
    [null, '-'],
    [Number.NaN, '-'],
  ])('writes %s US dollars as %s', (usd, text) => {
    expect(formatUsd(usd)).toBe(text);
  });
});
