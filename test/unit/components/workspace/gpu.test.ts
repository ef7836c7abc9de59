import { describe, expect, it } from "vitest";
import { gpuInventory, gpuProblem, parseGpus } from "../../../../components/host/gpus.ts";
import { gpuRequest } from "../../../../components/workspace/gpu.ts";

const csv = "0, GPU-aaaa-1, NVIDIA L4, 23034\n1, GPU-bbbb-2, NVIDIA L4, 23034\n";
const twoGpus = gpuInventory({ driver: { csv }, toolkit: true, cdi: false });
const withCdi = gpuInventory({ driver: { csv }, toolkit: false, cdi: true });
const noDriver = gpuInventory({ driver: { missing: true }, toolkit: true, cdi: true });
const noToolkit = gpuInventory({ driver: { csv }, toolkit: false, cdi: false });

describe("what nvidia-smi says", () => {
  it("is read a line a GPU", () => {
    expect(parseGpus(csv)).toEqual([
      { index: 0, uuid: "GPU-aaaa-1", name: "NVIDIA L4", memory: 23034 },
      { index: 1, uuid: "GPU-bbbb-2", name: "NVIDIA L4", memory: 23034 },
    ]);
  });

  it("is skipped where it is not about a GPU", () => {
    expect(parseGpus("No devices were found\n\nNVIDIA-SMI has failed, because it, could, not\n")).toEqual([]);
  });

  it("becomes a problem with the command that mends it", () => {
    expect(twoGpus.problem).toBeUndefined();
    expect(withCdi.problem).toBeUndefined();
    expect(noDriver.problem).toMatch(/no NVIDIA driver.*apt-get install nvidia-driver/);
    expect(noToolkit.problem).toMatch(/Container Toolkit is missing.*nvidia-ctk runtime configure/);
    expect(
      gpuInventory({ driver: { failed: "NVML: driver mismatch" }, toolkit: true, cdi: false }).problem,
    ).toMatch(/NVML: driver mismatch.*reboot/);
    expect(gpuInventory({ driver: { csv: "" }, toolkit: true, cdi: false }).problem).toMatch(/shows no GPU/);
  });
});

describe("a request", () => {
  it("for none asks for nothing, whatever there is", () => {
    expect(gpuRequest("nb", "none", twoGpus)).toEqual({ devices: {}, accelerator: "CPU" });
  });

  it.each(["all", "auto"] as const)("for %s asks for every GPU", (selection) => {
    expect(gpuRequest("nb", selection, twoGpus)).toEqual({
      devices: { gpus: "all" },
      accelerator: "GPU 0 (NVIDIA L4), GPU 1 (NVIDIA L4)",
    });
  });

  it("for one GPU names it, by index or UUID", () => {
    expect(gpuRequest("nb", [1], twoGpus)).toEqual({
      devices: { gpus: "device=1" },
      accelerator: "GPU 1 (NVIDIA L4)",
    });
    expect(gpuRequest("nb", ["GPU-AAAA-1"], twoGpus).accelerator).toBe("GPU 0 (NVIDIA L4)");
  });

  it("for several becomes a device request, which is the only form the provider takes", () => {
    expect(gpuRequest("nb", [0, 1], twoGpus).devices).toEqual({
      deviceRequests: [{ driver: "nvidia", deviceIds: ["0", "1"], capabilities: ["gpu"] }],
    });
  });

  it("goes through CDI where that is what the daemon has", () => {
    const ids = (selection: "all" | number[]) => gpuRequest("nb", selection, withCdi).devices.deviceRequests;
    expect(ids("all")).toEqual([{ driver: "cdi", deviceIds: ["nvidia.com/gpu=all"] }]);
    expect(ids([0, 1])).toEqual([{ driver: "cdi", deviceIds: ["nvidia.com/gpu=0", "nvidia.com/gpu=1"] }]);
  });

  it("for auto without a GPU falls back to the CPU and says so", () => {
    const request = gpuRequest("nb", "auto", noDriver);
    expect(request).toMatchObject({ devices: {}, accelerator: "CPU" });
    expect(request.fallback).toEqual({
      reason: expect.stringMatching(/^no NVIDIA driver on this host$/),
      warning: expect.stringMatching(/^nb runs on the CPU: no NVIDIA driver/),
    });
  });

  it.each<["all" | number[], typeof twoGpus, RegExp]>([
    ["all", noDriver, /no NVIDIA driver/],
    ["all", noToolkit, /Container Toolkit is missing/],
    [[2], twoGpus, /no GPU 2 on this host; there are 0 \(NVIDIA L4, GPU-aaaa-1\), 1 .*nvidia-smi -L/],
  ])("for %j fails where it cannot be served", (selection, inventory, message) => {
    expect(gpuProblem(selection, inventory)).toMatch(message);
    expect(() => gpuRequest("nb", selection, inventory)).toThrow(message);
  });
});
