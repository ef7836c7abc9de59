import { describe, expect, it } from "vitest";
import { inLine, legible } from "../../../text/legible.ts";

describe("what others wrote", () => {
  it.each([
    ["\u001b]52;c;cm0gLXJm\u0007", "?]52;c;cm0gLXJm?"],
    ["kept\rremoved\b\u007f\0", "kept?removed???"],
    ["a\u009b2Jb\u0085", "a?2Jb?"],
    ["a\u202egnp\u2066\u200f\u2028", "a?gnp???"],
    ["a\tb\nc", "a b\nc"],
    ["Zoë 猫 🐱", "Zoë 猫 🐱"],
  ])("is shown as text: %j", (text, expected) => {
    expect(legible(text)).toBe(expected);
  });

  it("is cut where a line has no end", () => {
    expect(legible(`${"a".repeat(1e6)}\nb`)).toBe(`${"a".repeat(2000)}...\nb`);
  });

  it("is one line as a part of one", () => {
    expect(inLine(" a\r\n\n b\u001b\n")).toBe("a b?");
  });
});
