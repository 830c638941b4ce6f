/**
 * An estimate of the longest named function of a source file, without a parser: comments, strings and regular
 * expressions are blanked, lines that look like the head of a function are found, and the end is where braces balance
 * (Python: where the indentation ends). Templates, macros, here documents and heads of unusual shape can mislead it.
 */
export type FunctionEstimate = {
  readonly name: string;
  /** Line of the head, from 1. */
  readonly line: number;
  /** From the head to the closing brace, or to the last line of the body, both included. */
  readonly lines_estimate: number;
};

interface Language {
  /** What is blanked before anything is counted. */
  readonly noise: RegExp;
  /** Each matches, at a line, the head of a function; its only group is the name. */
  readonly heads: readonly RegExp[];
  /** What may stand between the parameters and the body. */
  readonly beforeBody: RegExp;
  readonly body: 'braces' | 'indentation';
}

const quoted = String.raw`"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?`;
const comment = String.raw`\/\/[^\n]*|\/\*[^*]*(?:\*(?!\/)[^*]*)*(?:\*\/)?`;
const keywords =
  '(?!(?:if|for|while|switch|catch|return|await|new|else|do|typeof|function|super|throw|using|synchronized)\\b)';

const script: Language = {
  noise: new RegExp(
    `${comment}|${quoted}|\`(?:\\\\[\\s\\S]|[^\`\\\\])*\`?|(?<=(?:^|[(,=:[!&|?{};+\\n]|\\breturn) ?)\\/(?![*/])(?:\\\\.|\\[(?:\\\\.|[^\\]\\\\\\n])*\\]|[^/\\\\\\n[])+\\/`,
    'g',
  ),
  heads: [
    /^.*?\bfunction\s*\*?\s*([\w$]+)\s*[<(]/,
    /^\s*(?:export\s+)?(?:const|let|var)\s+([\w$]+)[^=]*=\s*(?:async\s*)?(?:function\s*\*?\s*\(|\(|<|[\w$]+\s*=>)/,
    new RegExp(
      `^\\s*(?:(?:public|private|protected|static|async|override|get|set)\\s+|\\*)*${keywords}([\\w$#]+)\\s*(?:<[^(]*>\\s*)?\\(`,
    ),
  ],
  beforeBody: /^\s*(?::[^;{}=]*)?(?:=>\s*)?$/,
  body: 'braces',
};

const cFamily: Language = {
  noise: new RegExp(`${comment}|${quoted}|^[ \\t]*#[^\\n]*`, 'gm'),
  heads: [new RegExp(`^\\s*(?:${keywords}[\\w:<>,*&[\\]~@]+\\s+)+[*&]*${keywords}([\\w:~]+)\\s*\\(`)],
  beforeBody: /^[^;={}]*$/,
  body: 'braces',
};

const languages: Readonly<Record<string, Language>> = {
  ts: script,
  js: script,
  mjs: script,
  c: cFamily,
  cpp: cFamily,
  java: cFamily,
  go: {
    noise: new RegExp(`${comment}|${quoted}|\`[^\`]*\`?`, 'g'),
    heads: [/^func\s+(?:\([^)]*\)\s*)?(\w+)\s*[[(]/],
    beforeBody: /^[^;{}]*$/,
    body: 'braces',
  },
  rs: {
    // A single quote is a character only when it is closed at once; otherwise it is a lifetime.
    noise: new RegExp(`${comment}|"(?:\\\\[\\s\\S]|[^"\\\\])*"?|'(?:\\\\[^\\n']{1,10}|[^\\n'\\\\])'`, 'g'),
    heads: [/^.*?\bfn\s+(\w+)\s*[<(]/],
    beforeBody: /^[^;{}]*$/,
    body: 'braces',
  },
  sh: {
    noise: new RegExp(`(?<![^\\s;])#[^\\n]*|\\\\.|${quoted}`, 'g'),
    heads: [/^\s*(?:function\s+)?([\w-]+)\s*\((?=\s*\))/, /^\s*function\s+([\w-]+)\s*(?=\{)/],
    beforeBody: /^\s*$/,
    body: 'braces',
  },
  py: {
    noise:
      /"""(?:\\[\s\S]|[^\\])*?(?:"""|$)|'''(?:\\[\s\S]|[^\\])*?(?:'''|$)|#[^\n]*|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?/g,
    heads: [/^\s*(?:async\s+)?def\s+(\w+)\s*[[(]/],
    beforeBody: /^/,
    body: 'indentation',
  },
};

/** Larger files are generated code: they get no estimate. */
export const maxSourceBytes = 1_048_576;
/** Longer lines, and heads with longer parameters, are passed over. */
const maxHead = 1_000;

/** The extensions, without the dot, for which there is an estimate. */
export function isSource(extension: string): boolean {
  return Object.hasOwn(languages, extension);
}

/** The longest named function, the first of several; undefined when none is found. Takes time in proportion to the text. */
export function longestFunction(text: string, extension: string): FunctionEstimate | undefined {
  const language = languages[extension];
  if (!language) return undefined;
  const code = text.replace(language.noise, (noise) => noise.replace(/[^\n]+/g, ' '));
  const lines = code.split('\n');
  const braces = matchBraces(code);
  let best: FunctionEstimate | undefined;
  let start = 0;
  for (const [index, line] of lines.entries()) {
    const head = line.length > maxHead ? undefined : firstMatch(language.heads, line);
    // A function inside a longer one cannot be the longest.
    const inside = best !== undefined && index + 1 < best.line + best.lines_estimate;
    if (head && !inside) {
      const last =
        language.body === 'braces'
          ? lastLineInBraces(code, start, head[0], braces, language)
          : lastIndentedLine(code, start, head[0], lines, index);
      const length = last === undefined ? 0 : last - index + 1;
      if (length > (best?.lines_estimate ?? 0)) best = { name: head[1] ?? '', line: index + 1, lines_estimate: length };
    }
    start += line.length + 1;
  }
  return best;
}

function firstMatch(patterns: readonly RegExp[], line: string): RegExpExecArray | undefined {
  for (const pattern of patterns) {
    const match = pattern.exec(line);
    if (match) return match;
  }
  return undefined;
}

/** Where each opening brace closes: position and line, from 0. */
type Braces = ReadonlyMap<number, { readonly at: number; readonly line: number }>;

function matchBraces(code: string): Braces {
  const braces = new Map<number, { at: number; line: number }>();
  const open: number[] = [];
  let line = 0;
  for (let at = 0; at < code.length; at++) {
    const char = code[at];
    if (char === '\n') line++;
    else if (char === '{') open.push(at);
    else if (char === '}' && open.length > 0) braces.set(open.pop()!, { at, line });
  }
  return braces;
}

/** The line on which the function whose head is at `start` ends; undefined when no body follows. */
function lastLineInBraces(
  code: string,
  start: number,
  head: string,
  braces: Braces,
  { beforeBody }: Language,
): number | undefined {
  const parameters = endOfParameters(code, start, head);
  if (parameters === undefined) return undefined;
  const open = openingBrace(code, parameters + 1);
  if (open === undefined) return undefined;
  // After `<` come type parameters, which this estimate does not take apart.
  if (!head.endsWith('<') && !beforeBody.test(code.slice(parameters + 1, open))) return undefined;
  const end = braces.get(open);
  // `f(): Promise<{ a: string }> {`: the braces of a type come before those of the body.
  const next = end && /^[ >[\]|&\w]{0,40}(?:=> *)?\{/.exec(code.slice(end.at + 1, end.at + 50));
  return next ? braces.get(end.at + next[0].length)?.line : end?.line;
}

/** The line on which an indented body ends: the last one that is further in than its head, blank lines aside. */
function lastIndentedLine(
  code: string,
  start: number,
  head: string,
  lines: readonly string[],
  index: number,
): number | undefined {
  const parameters = endOfParameters(code, start, head);
  if (parameters === undefined) return undefined;
  const width = (line: string): number => line.length - line.trimStart().length;
  const headEnd = index + code.slice(start, parameters).split('\n').length - 1;
  let last = headEnd;
  for (let at = headEnd + 1; at < lines.length; at++) {
    const line = lines[at]!;
    if (line.trim() === '') continue;
    if (width(line) <= width(lines[index]!)) break;
    last = at;
  }
  return last;
}

/** The end of the parameters when the head ends with their opening bracket, else the end of the head. */
function endOfParameters(code: string, start: number, head: string): number | undefined {
  const at = start + head.length - 1;
  return head.endsWith('(') || head.endsWith('[') ? closing(code, at) : at;
}

/** The first `{` outside parentheses; undefined when the statement ends before, or is longer than any head. */
function openingBrace(code: string, from: number): number | undefined {
  for (let at = from; at < code.length && at < from + maxHead; at++) {
    const char = code[at];
    if (char === '{') return at;
    if (char === ';' || char === '}') return undefined;
    if (char === '(') at = closing(code, at) ?? code.length;
  }
  return undefined;
}

/** Where the bracket at `from` closes. Only its own kind counts, so that a stray one of another kind does no harm. */
function closing(code: string, from: number): number | undefined {
  const open = code[from];
  const close = open === '(' ? ')' : ']';
  let depth = 0;
  for (let at = from; at < code.length && at < from + maxHead; at++) {
    if (code[at] === open) depth++;
    else if (code[at] === close && --depth === 0) return at;
  }
  return undefined;
}
