/** Words that somebody else chose, for a message. Pure. */
import { createRequire } from "node:module";
import type * as levenshtein from "fastest-levenshtein";

/** A word that somebody else chose, for a message: as it is where that is plain, else so that a terminal shows it and does no more. */
export function shown(word: string): string {
  return /^[\p{L}\p{N}\p{P}\p{S}]*$/u.test(word) ? word : quote(word);
}

/** A value in quotes, as JSON has it. */
export const quote = (value: unknown): string => visible(JSON.stringify(value) ?? "");

/** A text with nothing in it that a terminal does. */
export function visible(text: string): string {
  const code = (letter: string) => `\\u${(letter.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`;
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, code);
}

/** The word that was perhaps meant: a letter in three differs, or two changed places; undefined where none is near. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  if (words.length === 0) return undefined;
  // Loaded here: nearly always nothing is misspelt.
  const { closest, distance }: typeof levenshtein = createRequire(import.meta.url)("fastest-levenshtein");
  const lower = word.toLowerCase();
  const swapped = words.find((each) => letters(each) === letters(lower) && distance(lower, each) <= 2);
  const best = swapped ?? closest(lower, words);
  const near = distance(lower, best.toLowerCase()) <= Math.max(1, Math.floor(word.length / 3));
  return swapped || near ? best : undefined;
}

const letters = (word: string) => [...word].sort().join("");
