/**
 * GPU requests as the daemon gets them, without a GPU: an `nvidia-smi` that lists three, one of them cut into slices, a container toolkit's hook that does
 * nothing, which is what a daemon looks for before it accepts a request, and a PyTorch that only pretends to compute.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { pretend } from "../support/host-script.ts";
import { createPerson, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";

const UID = 1000;
const GPUS =
  "0, GPU-aaaaaaaa-0000, NVIDIA L4, 23034\\n1, GPU-bbbbbbbb-1111, NVIDIA L4, 23034\\n2, GPU-cccccccc-2222, NVIDIA A100, 40960\\n";
/** Of the third, which is cut. */
const DETAILS = "2, 580.95.05, 8.0, Enabled\\n";
const SLICES =
  "GPU 2: NVIDIA A100 (UUID: GPU-cccccccc-2222)\\n  MIG 1g.5gb     Device  0: (UUID: MIG-dddddddd-3333)\\n";

describeWithDaemon("GPU requests", () => {
  const programs = mkdtempSync(join(tmpdir(), "gpubox-nvidia-"));
  let daemon: Daemon;
  let person: Person;

  beforeAll(async () => {
    chmodSync(programs, 0o755);
    mkdirSync(join(programs, "bin"));
    const program = (name: string, body: string) => pretend(join(programs, "bin"), name, body);
    program(
      "nvidia-smi",
      `case "$1" in -L) printf '${SLICES}' ;; *mig.mode*) printf '${DETAILS}' ;; *) printf '${GPUS}' ;; esac`,
    );
    program("nvidia-container-runtime-hook", "exit 0");
    mkdirSync(join(programs, "python"));
    pretendTorch("return Matrix()");
    const path = join(programs, "bin");
    daemon = await startDaemon({ group: String(UID), path });
    person = await createPerson({ daemon, uid: UID, path });
  });

  /** The containers' PyTorch; `ones` says what becomes of the first matrix. */
  const pretendTorch = (ones: string) =>
    writeFileSync(
      join(programs, "python", "torch.py"),
      [
        "__version__ = 'pretended'",
        "class version: cuda = '13.2'",
        "class cuda:",
        "    is_available = staticmethod(lambda: True)",
        "    device_count = staticmethod(lambda: 1)",
        "    get_device_name = staticmethod(lambda index: 'NVIDIA L4')",
        "    get_device_capability = staticmethod(lambda index: (8, 9))",
        "    get_arch_list = staticmethod(lambda: ['sm_75'])",
        "class Matrix:",
        "    def __matmul__(self, other): return self",
        "    def sum(self): return 1024.0 ** 3",
        `def ones(*size, device): ${ones}`,
        "",
      ].join("\n"),
    );
  const torch = {
    volumes: [{ source: join(programs, "python"), target: "/opt/pretended", readOnly: true }],
    environment: { PYTHONPATH: "/opt/pretended" },
  };

  const configure = (...notebooks: Record<string, unknown>[]) =>
    person.configure({ image: { target: "lab" }, notebooks });

  afterAll(async () => {
    await person?.remove();
    await daemon?.end();
    rmSync(programs, { recursive: true, force: true });
  });

  it("for a GPU that is not there are refused with those that are", async () => {
    configure({ name: "all", gpus: [7] });
    const { exitCode, all } = await person.npm("start");
    expect(exitCode, all).not.toBe(0);
    expect(all).toMatch(/notebooks\[0\]\.gpus: no GPU 7 on this host; there are 0 \(NVIDIA L4/);
    configure({ name: "all", gpus: [2] });
    expect((await person.npm("start")).all).toMatch(
      /GPU 2 \(NVIDIA A100\) is split into slices .* name one of them\. There are .* 2:0 \(1g\.5gb of NVIDIA A100, MIG-dddd/,
    );
  });

  it("are not met by a GPU that does not compute: up is red until it does", async () => {
    pretendTorch(
      "raise RuntimeError('CUDA error: no kernel image is available for execution on the device')",
    );
    configure(
      { name: "all", gpus: "all", shareGpus: true, ...torch },
      { name: "one", gpus: ["GPU-aaaaaaaa-0000"], port: 8889, shareGpus: true, ...torch },
      { name: "both", gpus: [0, 1], port: 8890, shareGpus: true, ...torch },
      { name: "cpu", gpus: "none", port: 8891 },
    );
    const broken = await person.npm("start");
    expect(broken.exitCode, broken.all).not.toBe(0);
    for (const words of [
      "does not compute: CUDA error: no kernel image",
      "made for CUDA 13.2 and sm_75",
      "compute capability 8.9",
      "gpus: none",
    ])
      expect(broken.all).toContain(words);
    pretendTorch("return Matrix()");
    const mended = await person.npm("start");
    expect(mended.exitCode, mended.all).toBe(0);
    expect(mended.all).toContain("GPU 0 (NVIDIA L4), GPU 1 (NVIDIA L4)");
  });

  it("reach the daemon in every form, one notebook a GPU or all of them", async () => {
    const asked = async (name: string) => {
      const { HostConfig, Config } = await daemon.client.getContainer(name).inspect();
      return { requests: HostConfig.DeviceRequests ?? [], env: Config.Env };
    };
    const GPU = { Capabilities: [["gpu"]] };
    expect((await asked("all")).requests).toMatchObject([{ Count: -1, ...GPU }]);
    expect((await asked("one")).requests).toMatchObject([{ DeviceIDs: ["GPU-aaaaaaaa-0000"], ...GPU }]);
    expect((await asked("both")).requests).toMatchObject([
      { Driver: "nvidia", DeviceIDs: ["0", "1"], ...GPU },
    ]);
    expect((await asked("cpu")).requests).toEqual([]);
    expect((await asked("cpu")).env).toContain("NVIDIA_VISIBLE_DEVICES=void");
  });

  it("are other ones, or none, when the configuration says so", async () => {
    configure(
      { name: "all", gpus: "none" },
      { name: "one", gpus: ["GPU-bbbbbbbb-1111"], port: 8889, shareGpus: true, ...torch },
      { name: "both", gpus: "all", port: 8890, shareGpus: true, ...torch },
      { name: "cpu", gpus: [0], port: 8891, shareGpus: true, ...torch },
      { name: "slice", gpus: ["2:0"], port: 8892, shareGpus: true, ...torch },
    );
    const { exitCode, all } = await person.npm("start");
    expect(exitCode, all).toBe(0);
    const requests = async (name: string) =>
      (await daemon.client.getContainer(name).inspect()).HostConfig.DeviceRequests ?? [];
    expect(await requests("all")).toEqual([]);
    expect(await requests("one")).toMatchObject([{ DeviceIDs: ["GPU-bbbbbbbb-1111"] }]);
    expect(await requests("both")).toMatchObject([{ Count: -1 }]);
    expect(await requests("cpu")).toMatchObject([{ DeviceIDs: ["0"] }]);
    expect(await requests("slice")).toMatchObject([{ DeviceIDs: ["2:0"] }]);
  });

  it("do not drift", async () => {
    const preview = await person.shell("pulumi preview --refresh --expect-no-changes --non-interactive");
    expect(preview.exitCode, preview.all).toBe(0);
  });
});
