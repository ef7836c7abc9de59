/** What scripts print of what others wrote: a terminal obeys what is in it, and a person believes what looks like a line of gpubox. */
import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { ROOT } from "../../cli/context.ts";
import { findProgram, missingPrograms } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";

const scratch = ownFolder();

const awks = ["mawk", "gawk", "original-awk", "busybox"].filter((awk) => missingPrograms(awk).length === 0);

describe.each(awks)("common.sh, by %s", (awk) => {
  const bin = join(scratch, awk);
  beforeAll(() => {
    mkdirSync(bin);
    symlinkSync(findProgram(awk) ?? "", join(bin, "awk"));
  });
  /** What comes on stderr where this is done with a text on standard input. */
  const run = (line: string, input: string | Buffer) =>
    spawnSync("sh", ["-c", `topic=data\\ pets\n. ${ROOT}/host-scripts/common.sh\n${line}`], {
      input,
      env: { PATH: `${bin}:/usr/bin:/bin`, HOME: scratch, LC_ALL: "C.UTF-8" },
      encoding: "utf8",
    });
  const shown = (text: string | Buffer) => run("show_lines", text).stderr;
  const said = (text: string) => run('say "$(cat)"', text).stderr;

  it.each([
    ["a sequence that fills the clipboard", "\u001b]52;c;cm0gLXJm\u0007", "?]52;c;cm0gLXJm?"],
    ["one that clears the screen", "a\u001b[2Jb", "a?[2Jb"],
    ["what goes back", "kept\rremoved\b\u007f", "kept?removed??"],
    ["the controls beyond ASCII", "a\u009b2Jb\u0085", "a?2Jb?"],
    ["what would be one without what is in it", Buffer.from("61c2c29b9b62", "hex"), "a\ufffd?\ufffdb"],
    ["what turns the direction of writing", "a\u202egnp\u2066\u200f", "a?gnp??"],
    ["a NUL and a tab", "a\0b\tc", "a?b c"],
    ["what people write", "Zoë 猫 🐱 'a' $(b) \\n %s", "Zoë 猫 🐱 'a' $(b) \\n %s"],
  ])("shows %s as text", (_, text, expected) => {
    expect(shown(text)).toBe(`  ${expected}\n`);
  });

  it("makes one line of a message, whatever names are in it", () => {
    expect(said("a\ndata pets: removed: b")).toBe("data pets: a data pets: removed: b\n");
    expect(said("\u001b[2Ja")).toBe("data pets: ?[2Ja\n");
  });

  it("indents lines of others, so that none looks like its own", () => {
    expect(shown("a\ndata pets: removed: b\n")).toBe("  a\n  data pets: removed: b\n");
  });

  it("cuts what is too long, between two letters", () => {
    const line = shown(`${"ü".repeat(5000)}\nb`).split("\n")[0] ?? "";
    expect(line).toMatch(/^ {2}ü{900,1000}\.\.\.$/);
    expect(said("a".repeat(1 << 20)).length).toBeLessThan(2100);
  });
});
