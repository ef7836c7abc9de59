import { describe, expect, it } from "vitest";
import {
  duration,
  kernelText,
  machineLines,
  measured,
  readUsage,
  size,
  type Usage,
} from "../../../../cli/ui/usage.ts";

describe("the figures", () => {
  const usage: Usage = {
    containers: [{ name: "a", state: "running", health: "healthy", imageBytes: 9e9, kernels: [] }],
    gpus: [{ index: 0, percent: 37, used: 1200, total: 23034 }],
    code: 2_000,
    data: null,
    uptime: 7500,
  };

  /** As the script prints it, where a container answers this when it is asked for its kernels. */
  const printed = (kernels: string) =>
    `welcome\n${JSON.stringify({ ...usage, containers: [{ ...usage.containers[0], kernels }] })}\n`;

  it("are read from the last line", () => {
    expect(readUsage(printed("[]"))).toEqual(usage);
  });

  it.each([
    "",
    "welcome",
    "null",
    "[1]",
    '{"containers":1}',
    '{"containers":[]}',
  ])("are none where the last line is %j", (line) => expect(readUsage(line)).toBeUndefined());

  it.each([
    "[null]",
    "[x]",
    "[1]",
    "{}",
    "null",
    '[{"execution_state":"idle"}]',
    '[{"execution_state":"idle","last_activity":"soon"}]',
    '[{"execution_state":{},"last_activity":"2026-01-01T00:00:00Z"}]',
  ])("have unknown kernels where the container answers %s", (answer) => {
    const [container] = readUsage(printed(answer))?.containers ?? [];
    expect(container).toEqual({ ...usage.containers[0], kernels: null });
    expect(kernelText(container?.kernels ?? null)).toBe("kernels unknown");
  });

  it("have of a kernel what is read of it, and nothing else that the container says", () => {
    const kernel = { execution_state: "idle", last_activity: "2026-01-01T00:00:00Z" };
    const answer = JSON.stringify([{ ...kernel, name: "x".repeat(99) }]);
    expect(readUsage(printed(answer))?.containers[0]?.kernels).toEqual([kernel]);
  });

  it("are numbers for programs, with their units in their names", () => {
    expect(measured(usage)).toEqual({
      containers: [{ name: "a", imageBytes: 9e9, kernels: [] }],
      gpus: [{ index: 0, busyPercent: 37, memoryUsedMiB: 1200, memoryTotalMiB: 23034 }],
      codeBytes: 2_048_000,
      dataBytes: null,
      uptimeSeconds: 7500,
    });
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
