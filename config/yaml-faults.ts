/** What keeps a stack's file from being YAML, in plain words: the parser's own are for those who know its grammar. Pure. */

/** What the parser says. */
export interface Fault {
  code: string;
  message: string;
}

/** A line that says something, and where its key begins. */
interface Line {
  /** From 0. */
  index: number;
  text: string;
  /** Of the key, behind the dash of a list. */
  column: number;
}

/** What is wrong, and below it the line. @param at the line's index, as the parser has it, from 0 */
export function explainFault(fault: Fault, text: string, at: number): { line: number; words: string } {
  const lines = text.split(/\r?\n/);
  const { index = at, words } = find(fault, lines, at);
  const shown = show(lines, index);
  return { line: index + 1, words: shown === "" ? words : `${words}\n    ${shown}` };
}

function find({ code, message }: Fault, lines: string[], at: number): { index?: number; words: string } {
  if (code === "MULTIPLE_DOCS")
    return { words: "there is one document in a stack's file, and none after `---`" };
  if (code === "TAB_AS_INDENT") return { words: "it begins with a tab: YAML is indented with spaces only" };
  if (code === "DUPLICATE_KEY") return { words: "this key already exists further up" };
  const text = lines[at] ?? "";
  const spaced = /^\s*(?:- )?gpubox: +([\w-]+) *:/.exec(text);
  if (spaced) return { words: `there is a space within the key: write \`gpubox:${spaced[1]}:\`` };
  const dash = /^\s*-([\w-]+):/.exec(text);
  if (dash) return { words: `there is no space after the dash: write \`- ${dash[1]}:\`` };
  const tight = /^\s*(?:- )?((?:gpubox:)?[\w-]+):\S/.exec(text);
  if (tight && !/:(\s|$)/.test(text))
    return { words: `there is no space after the colon: write \`${tight[1]}: …\`` };
  const [, quote] = /^Missing closing (.)quote/.exec(message) ?? [];
  if (quote) {
    const opens = lines.findLastIndex((line) => line.split(quote).length % 2 === 0);
    return { index: Math.max(opens, 0), words: `a ${quote} is opened and not closed` };
  }
  if (/ must be sufficiently indented and end with a /.test(message))
    return { words: `a bracket is opened and not closed: ${message.at(-1)} is missing` };
  if (["BAD_INDENT", "BLOCK_AS_IMPLICIT_KEY", "MISSING_CHAR"].includes(code)) {
    const found = misplaced(lines, at);
    if (found) return found;
  }
  return { words: message };
}

/** The line that is out of line with the one above it: the one where the parser stumbles, or the one below, which it took for a value. */
function misplaced(lines: string[], at: number): { index: number; words: string } | undefined {
  const said = lines.flatMap((text, index): Line[] => {
    const [before, indent = "", dash = ""] = /^( *)(- +)?[^\s#]/.exec(text) ?? [];
    return before === undefined ? [] : [{ index, text, column: indent.length + dash.length }];
  });
  const here = said.findIndex(({ index }) => index >= at);
  for (const [above, line] of [
    [said[here], said[here + 1]],
    [said[here - 1], said[here]],
  ]) {
    if (!above || !line || line.column === above.column) continue;
    const isValue = /:\s*$/.test(above.text) && line.column > above.column;
    if (isValue || (above === said[here] && line.column < above.column)) continue;
    const columns = `its key begins in column ${line.column + 1}, and that of the line above in column ${above.column + 1}`;
    return { index: line.index, words: `${columns}: keys that belong together begin in the same column` };
  }
  return undefined;
}

/** A line as it can be shown: what notebooks have in their environment may be secret. */
function show(lines: string[], at: number): string {
  const text = lines[at] ?? "";
  for (let index = at; index >= 0; index--) {
    const above = lines[index] ?? "";
    if (/\benvironment\b/.test(above)) return text.replace(/:.*$/s, ": …");
    if (/^\s*- /.test(above) || /^ {0,2}\S/.test(above)) break;
  }
  return text.trimEnd();
}
