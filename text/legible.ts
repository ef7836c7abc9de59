/** What others wrote (names, logs, answers), as a person's terminal can be given it. host-scripts/common.sh does the same on a host. */

/** A terminal obeys the first of these, and writes in the other direction after the second. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const OBEYED = /[\0-\x09\x0b-\x1f\x7f-\x9f]|[\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** In letters, of a line. */
const LONGEST = 2000;

/** The same lines, each control character a "?" as `ls` shows it, and cut where they are too long. */
export function legible(text: string): string {
  return text
    .replaceAll("\t", " ")
    .replace(OBEYED, "?")
    .split("\n")
    .map((line) => (line.length > LONGEST ? `${line.slice(0, LONGEST)}...` : line))
    .join("\n");
}

/** The same as a part of a line. */
export const inLine = (text: string): string => legible(text.trim().replaceAll(/\s*\n\s*/g, " "));
