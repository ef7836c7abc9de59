import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { closeRunLog, openRunLog } from "../../../../cli/system/run-log.ts";

it("keeps what was said of the last ten runs for the person alone, and nothing that a terminal obeys", () => {
  const cache = mkdtempSync(join(tmpdir(), "gpubox-logs-"));
  onTestFinished(() => rmSync(cache, { recursive: true }));
  const logs = Array.from({ length: 12 }, (_, index) => {
    const log = openRunLog(cache, `dev-up-${String(index).padStart(2, "0")}`);
    writeSync(log.descriptor, "#1 \u001b]0;title\u0007 done\nnext\n");
    closeRunLog(log);
    return log.file;
  });
  const kept = readdirSync(join(cache, "logs")).map((name) => join(cache, "logs", name));
  expect(kept.sort()).toEqual(logs.slice(-10).sort());
  const [file = ""] = kept;
  expect(readFileSync(file, "utf8")).toBe("#1 ?]0;title? done\nnext\n");
  expect(statSync(file).mode & 0o777).toBe(0o600);
});
