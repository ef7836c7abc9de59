import { describe, expect, it } from "vitest";
import { gpuRequest } from "../../../../components/workspace/gpu.ts";
import { gpuInventory, gpuProblem, mayHaveSlices, parseGpus } from "../../../../machine/gpus.ts";

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

describe("GPUs that are cut into slices", () => {
  const list = [
    "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa-1)",
    "  MIG 3g.20gb     Device  0: (UUID: MIG-1111-a)",
    "  MIG 1g.5gb      Device  1: (UUID: MIG-GPU-aaaa-1/9/0)",
    "GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb-2)",
    "",
  ].join("\n");
  const a100s = csv.replaceAll("L4", "A100");
  const cut = (details: string, listed = list, cdi = false) =>
    gpuInventory({ driver: { csv: a100s, details, list: listed }, toolkit: !cdi, cdi });
  const details = "0, 580.95.05, 8.0, Enabled\n1, 580.95.05, 8.0, Disabled\n";
  const inventory = cut(details);

  it("are known with their slices, and the others without; nobody is asked for slices where there are none", () => {
    expect(inventory.gpus).toMatchObject([
      {
        index: 0,
        slices: [
          { index: 0, uuid: "MIG-1111-a", profile: "3g.20gb" },
          { index: 1, uuid: "MIG-GPU-aaaa-1/9/0", profile: "1g.5gb" },
        ],
      },
      { index: 1, computeCapability: "8.0" },
    ]);
    expect(inventory.gpus[1]).not.toHaveProperty("slices");
    expect(cut("").gpus, "a driver that does not say").toMatchObject([{ slices: [{}, {}] }, {}]);
    expect([details, "", "0, 580.95.05, 8.9, [N/A]\n"].map(mayHaveSlices)).toEqual([true, true, false]);
  });

  it("give a notebook one, by index or UUID, in the form that each runtime takes", () => {
    expect(gpuRequest("nb", ["0:0"], inventory)).toEqual({
      devices: { gpus: "device=0:0" },
      accelerator: "GPU 0:0 (3g.20gb of NVIDIA A100)",
    });
    expect(gpuRequest("nb", ["mig-1111-A", 1], inventory)).toEqual({
      devices: {
        deviceRequests: [{ driver: "nvidia", deviceIds: ["mig-1111-A", "1"], capabilities: ["gpu"] }],
      },
      accelerator: "GPU 0:0 (3g.20gb of NVIDIA A100), GPU 1 (NVIDIA A100)",
    });
    expect(gpuRequest("nb", ["0:1"], cut(details, list, true)).devices.deviceRequests).toEqual([
      { driver: "cdi", deviceIds: ["nvidia.com/gpu=0:1"] },
    ]);
  });

  it("name those there are where one is missing, or the GPU is wanted whole", () => {
    const there =
      "0:0 (3g.20gb of NVIDIA A100, MIG-1111-a), 0:1 (1g.5gb of NVIDIA A100, MIG-GPU-aaaa-1/9/0), 1 (NVIDIA A100, GPU-bbbb-2)";
    expect(gpuProblem(["0:7"], inventory)).toContain(`no GPU 0:7 on this host; there are ${there}.`);
    for (const whole of [0, "GPU-AAAA-1"])
      expect(gpuProblem([whole], inventory)).toBe(
        `GPU 0 (NVIDIA A100) is split into slices (MIG) and cannot be used whole: name one of them. There are ${there}`,
      );
    const uncut = cut(details, "");
    expect(gpuProblem([0], uncut)).toMatch(
      /has none yet, so create some with `sudo nvidia-smi mig -i 0 -cgi/,
    );
    expect(gpuProblem([1], uncut)).toBeUndefined();
    const none = cut(details.replace("Disabled", "Enabled"), "");
    expect(none.problem).toMatch(/GPU 0 .* has none yet/);
    expect(gpuRequest("nb", "auto", none).accelerator).toBe("CPU");
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
