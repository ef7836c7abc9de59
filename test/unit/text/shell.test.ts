import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { exportLines, quote, shellLine, shellWord } from "../../../text/shell.ts";

// What a program can be handed: no NUL, and no half of a surrogate pair, which no argument can hold.
const text = fc.string({ unit: "grapheme" }).map((value) => value.replaceAll("\0", ""));

describe("words for a shell", () => {
  const read = (line: string) =>
    execFileSync("/bin/sh", ["-c", `for word in ${line}; do printf '%s\\0' "$word"; done`])
      .toString()
      .split("\0")
      .slice(0, -1);

  it("are read as they were written", () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 20 }), (words) => {
        expect(read(`${shellLine(words)} ${words.map(quote).join(" ")}`)).toEqual([...words, ...words]);
      }),
      { numRuns: 60 },
    );
  });

  it("stay readable where they can", () => {
    expect(shellLine(["ssh", "-o", "Port=22", "a b", "it's"])).toBe("ssh -o Port=22 'a b' 'it'\\''s'");
    expect(shellWord("")).toBe("''");
  });

  it("set variables, whatever is in them", () => {
    fc.assert(
      fc.property(text, (value) => {
        const script = `${exportLines({ VALUE: value })}sh -c 'printf "%s" "$VALUE"'`;
        expect(execFileSync("/bin/sh", { input: script }).toString()).toBe(value);
      }),
      { numRuns: 40 },
    );
  });
});
