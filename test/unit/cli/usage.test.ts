import { describe, expect, it } from "vitest";
import { duration, kernelText, machineLines, readUsage, size, type Usage } from "../../../cli/usage.ts";

describe("the figures", () => {
  const usage: Usage = {
    containers: [{ name: "a", state: "running", health: "healthy", imageBytes: 9e9, kernels: [] }],
    gpus: [{ index: 0, percent: 37, used: 1200, total: 23034 }],
    code: 2_000,
    data: null,
    uptime: 7500,
  };

  /** As the script prints it, with what a notebook answered for its kernels as a text. */
  const read = (answer: string) => {
    const containers = usage.containers.map((one) => ({ ...one, kernels: answer }));
    return readUsage(`welcome\n${JSON.stringify({ ...usage, containers })}\n`);
  };

  it("are read from the last line", () => {
    expect(read("[]")).toEqual(usage);
  });

  it.each([
    "",
    "<html>",
    '[{"execution_state": "idle"',
    '[{"execution_state": "idle", "last_activity": "soon"}]',
    "[null]",
    "{}",
    "7",
  ])("take what a notebook answers for unknown where it is no list of kernels: %s", (answer) => {
    expect(read(answer).containers[0]?.kernels).toBeNull();
  });

  it("are told in the units of people", () => {
    expect(machineLines(usage)).toEqual([
      "GPU 0: 37 % in use, 1200 of 23034 MiB",
      "disk: code 2 MB, data ?, image 9.0 GB",
    ]);
    expect(duration(7500)).toBe("2 h 05 min");
    expect(duration(59)).toBe("0 min");
    expect(size(5_000_000)).toBe("5.1 GB");
  });

  it("say what the kernels do", () => {
    const now = Date.parse("2026-01-01T12:00:00Z");
    const kernel = (execution_state: string, minutes: number) => ({
      execution_state,
      last_activity: new Date(now - minutes * 60_000).toISOString(),
    });
    expect(kernelText(null, now)).toBe("kernels unknown");
    expect(kernelText([], now)).toBe("no kernel");
    expect(kernelText([kernel("idle", 12)], now)).toBe("1 kernel, idle for 12 min");
    expect(kernelText([kernel("idle", 90), kernel("busy", 0)], now)).toBe("2 kernels, 1 busy");
    expect(kernelText([kernel("busy", 3)], now)).toBe("1 kernel, busy");
  });
});
