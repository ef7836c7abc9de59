import { describe, expect, it } from "vitest";
import { capture, mustRun } from "../../../../cli/system/run.ts";

describe("running programs", () => {
  it("collects what they print and how they end", async () => {
    const env = { PATH: process.env.PATH, ONLY: "this" };
    expect(await capture("sh", ["-c", "echo $ONLY $HOME; echo err >&2; exit 3"], { env })).toEqual({
      code: 3,
      stdout: "this",
      stderr: "err",
    });
    expect(await capture("sh", ["-c", "kill -TERM $$"], { env })).toMatchObject({ code: 143 });
    expect((await capture("no-such-program", [], { env })).code).toBe(127);
  });
  it("shows what a program said that had to succeed", async () => {
    const failing = mustRun("sh", ["-c", "echo because >&2; exit 4"], { env: process.env });
    await expect(failing).rejects.toThrow(/exit 4.*because/s);
  });
});
