import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { aliasLines } from "../../../cli/commands/alias.ts";
import { exports } from "../../../cli/commands/env.ts";
import { changedNothing } from "../../../cli/commands/up.ts";
import { shellScripts } from "../../../scripts/check.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gpubox-unit-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("npm run alias", () => {
  it.each(["sh", "bash"])("works in %s, in whatever folder the checkout is", (shell) => {
    const root = join(folder, "a person's own folder $HOME");
    mkdirSync(root, { recursive: true });
    const npm = join(folder, "npm");
    writeFileSync(npm, `#!/bin/sh\nfor each; do printf '<%s>' "$each"; done; echo\n`);
    chmodSync(npm, 0o755);
    const script = `${shell === "bash" ? "shopt -s expand_aliases\n" : ""}${aliasLines(root, "lab")}\nfastai\n`;
    const printed = execFileSync(shell, { input: script, env: { PATH: `${folder}:${process.env.PATH}` } });
    expect(printed.toString()).toBe(
      `<--prefix><${root}><run><--silent><start><--><-s><lab>\n<--prefix><${root}><run><--silent><shell><--><-s><lab>\n`,
    );
  });
});

describe("npm run env", () => {
  it("puts its folders before the shell's own PATH", () => {
    const lines = exports({ PATH: "/a b:/c", PULUMI_STACK: "dev" });
    const read = execFileSync("/bin/sh", [
      "-c",
      `PATH=/usr/bin:/bin\neval "$1"; echo "$PATH" "$PULUMI_STACK"`,
      "sh",
      lines,
    ]);
    expect(read.toString()).toBe("/a b:/c:/usr/bin:/bin dev\n");
  });
});

describe("npm run check", () => {
  it("finds shell scripts by their ending and by their first line", () => {
    writeFileSync(join(folder, "a.sh"), "");
    writeFileSync(join(folder, "run"), "#!/bin/bash\n");
    writeFileSync(join(folder, "other"), "#!/usr/bin/env node\n");
    writeFileSync(join(folder, "notes.md"), "#!/bin/sh\n");
    expect(shellScripts(folder).sort()).toEqual([join(folder, "a.sh"), join(folder, "run")]);
  });
});

describe("npm start, that a run changed nothing", () => {
  const update = { startTime: Date.parse("2026-01-02T03:04:05Z"), kind: "update", result: "succeeded" };
  it("is so when every resource is the same", () => {
    expect(changedNothing({ ...update, resourceChanges: { same: 12 } })).toBe(true);
    expect(changedNothing({ ...update, resourceChanges: { same: 12, create: 0 } })).toBe(true);
  });
  it.each(["create", "update", "replace", "delete"])("is not so after a %s", (change) => {
    expect(changedNothing({ ...update, resourceChanges: { same: 12, [change]: 1 } })).toBe(false);
  });
  it("is not so after a failure, or another kind of run", () => {
    expect(changedNothing({ ...update, result: "failed", resourceChanges: { same: 1 } })).toBe(false);
    expect(changedNothing({ ...update, kind: "destroy", resourceChanges: { same: 1 } })).toBe(false);
  });
});
