import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Memo } from "../../../../cli/system/memo.ts";

describe("what earlier runs found out", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "gpubox-findings-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it.each(["", "{", "null", "7", "[]", '{"key": null}'])("is nothing where its file says %j", (text) => {
    const file = join(folder, "findings.json");
    writeFileSync(file, text);
    const findings = new Memo(file);
    expect(findings.get("key")).toBeUndefined();
    findings.set("key", "found");
    expect(new Memo(file).get("key")).toBe("found");
  });
});
