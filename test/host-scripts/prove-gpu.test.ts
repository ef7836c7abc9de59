/** The proof that a GPU computes, on machines without one: PyTorch and Docker are pretended, the shell and Python are real. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { pathWith, pretend, runScript } from "../support/host-script.ts";
import { ownFolder } from "../support/own-folder.ts";

const folder = ownFolder();

const TORCH = `
__version__ = "2.15.0"
class version: cuda = "13.2"
class cuda:
    is_available = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 1)
    get_device_name = staticmethod(lambda index: "NVIDIA L4")
    get_device_capability = staticmethod(lambda index: (8, 9))
    get_arch_list = staticmethod(lambda: ["sm_80", "sm_90"])
class Matrix:
    def __init__(self, size): self.size = size
    def __matmul__(self, other): return self
    def sum(self): return float(self.size) ** 3
def ones(*size, device): return Matrix(size[0])
`;

let runs = 0;
/** Looks into a container that has this PyTorch, or none; without Python where `programs` lacks it. */
async function prove(
  torch: string | undefined,
  { programs = "python3", more = {}, docker = "", planted = "", smi = "" } = {},
) {
  const at = join(folder, String(++runs));
  const bin = pathWith(join(at, "bin"), `timeout ${programs}`);
  const packages = join(at, "packages");
  mkdirSync(packages);
  if (torch !== undefined) writeFileSync(join(packages, "torch.py"), torch);
  const program = (name: string, text: string) => pretend(bin, name, text);
  program(
    "docker",
    docker ||
      `[ "$1 $2 $3 $4" = 'exec -i container1 /bin/sh' ] || exit 9\nshift 3\n${planted}PYTHONPATH=${packages} exec "$@"`,
  );
  program("nvidia-smi", smi || "case $1 in *driver*) echo 570.1 ;; *) echo NVIDIA L4 ;; esac");
  const environment = { CONTAINER: "container1", ACCELERATOR: "GPU 0 (NVIDIA L4)", TIMEOUT: "20", ...more };
  return await runScript("prove-gpu.sh", environment, { path: bin });
}

describe("prove-gpu.sh", () => {
  it("says on what matrices were multiplied", async () => {
    const { code, stdout, stderr } = await prove(TORCH);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^NVIDIA L4, compute capability 8\.9: multiplied matrices with CUDA 13\.2 in \d\.\d s\n$/,
    );
  });

  it("proves each of several GPUs", async () => {
    const { stdout } = await prove(TORCH.replace("lambda: 1)", "lambda: 2)"));
    expect(stdout).toMatch(/^NVIDIA L4.*; NVIDIA L4.* s\n$/);
  });

  const raising = (message: string) =>
    TORCH.replace("return Matrix(size[0])", `raise RuntimeError("${message}")`);
  it.each([
    [
      "a GPU that the build is not for",
      raising("CUDA error: no kernel image is available for execution on the device"),
      /not made for this GPU/,
    ],
    [
      "a driver that is too old",
      raising("The NVIDIA driver on your system is too old (found version 12020)."),
      /older than the image's CUDA/,
    ],
    [
      "a GPU that somebody else fills",
      raising("CUDA out of memory. Tried to allocate 4 MiB"),
      /nvidia-smi {2}shows which/,
    ],
    [
      "a driver that was upgraded while the machine ran",
      raising(
        "Unexpected error from cudaGetDeviceCount(). Error 803: system has unsupported display driver / cuda driver combination",
      ),
      /kernel still has the old driver: reboot it \(a machine of AWS: {2}npm run stop {2}and then {2}npm start \)/,
    ],
    ["a GPU that was lost", raising("Unexpected error: NVML: Unknown Error"), /docker restart container1/],
    ["no GPU in the container", TORCH.replace("lambda: 1)", "lambda: 0)"), /did not hand the GPU/],
    ["a build for the CPU", TORCH.replace('cuda = "13.2"', "cuda = None"), /PyTorch without CUDA/],
    ["a wrong product", TORCH.replace("** 3", "** 2"), /computes wrongly/],
  ])("fails for %s, with the versions and what mends it", async (_, torch, message) => {
    const { code, stdout, stderr } = await prove(torch);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/GPU 0 \(NVIDIA L4\) was asked for and does not compute/);
    expect(stderr).toContain("driver 570.1");
    expect(stderr).toMatch(/PyTorch 2\.15\.0, made for CUDA (13\.2|None) and sm_80 sm_90/);
  });

  it("does without PyTorch by the driver's library, and says when the container has none", async () => {
    const { code, stderr } = await prove("raise ImportError()");
    expect(code).toBe(1);
    expect(stderr).toMatch(/no driver library/);
    expect(stderr).toMatch(/did not hand the GPU/);
  });

  it("does without Python by nvidia-smi, and says so", async () => {
    const { code, stdout } = await prove(undefined, { programs: "" });
    expect({ code, stdout }).toEqual({ code: 0, stdout: "nvidia-smi in the container shows a NVIDIA L4\n" });
  });

  it("goes by the host's driver where it says that it was upgraded, and takes no error of nvidia-smi for a GPU", async () => {
    const smi =
      "echo 'Failed to initialize NVML: Driver/library version mismatch'; echo 'NVML library version: 580.105'; exit 18";
    for (const [torch, programs] of [
      [TORCH.replace("lambda: 1)", "lambda: 0)"), "python3"],
      [undefined, ""],
    ] as const) {
      const { code, stderr } = await prove(torch, { programs, smi });
      expect(code).toBe(1);
      expect(stderr).toMatch(/does not compute: .*Driver\/library version mismatch/);
      expect(stderr).toContain("kernel still has the old driver: reboot it");
    }
  });

  it("shows what a container says as one line of text, and not all of it", async () => {
    const forging = TORCH.replace('"NVIDIA L4"', '"L4\\x1b]52;c;cm0=\\x07"');
    const { code, stdout } = await prove(forging);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^L4\?\]52;c;cm0=\?, compute capability 8\.9: [^\n]* s\n$/);

    const endless = await prove(TORCH, { programs: "python3 yes", docker: "exec yes 'UNPROVEN \u001b[2J'" });
    expect(endless).toMatchObject({ code: 1, stdout: "" });
    expect(endless.stderr).toMatch(/does not compute: UNPROVEN \?\[2J|does not compute: \?\[2J/);
    expect(endless.stderr.length).toBeLessThan(10_000);
    expect(endless.stderr).not.toContain("\u001b");
  });

  it("runs what a notebook put where PATH leads after the image's own", async () => {
    const home = join(folder, "home");
    const local = join(home, ".local", "bin");
    mkdirSync(local, { recursive: true });
    for (const name of ["sh", "python3", "nvidia-smi", "sed"])
      pretend(local, name, "echo PROVEN run this: evil");
    const planted = `export HOME=${home} PATH=${local}:/code/bin:bin:$PATH; `;
    expect(await prove(TORCH, { planted })).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^NVIDIA L4/),
    });
    // There is no Python but that one.
    expect((await prove(TORCH, { planted, programs: "" })).stdout).toBe("run this: evil\n");
  });

  it("shows the versions that a container says as lines that are not ours", async () => {
    const { stderr } = await prove(TORCH.replace("** 3", "** 2").replace('"2.15.0"', '"2.15.0; sudo evil"'));
    expect(stderr).toMatch(/^ {2}PyTorch 2\.15\.0; sudo evil, made/m);
    expect(stderr).not.toMatch(/^GPU of container1: PyTorch/m);
  });

  it("gives up on a container that hangs", async () => {
    const { code, stderr } = await prove(TORCH, { docker: "sleep 30", more: { TIMEOUT: "1" } });
    expect(code).toBe(1);
    expect(stderr).toContain("nothing came back for 1 s");
  });

  it("has nothing to prove on the CPU", async () => {
    const { code, stdout } = await prove(undefined, { more: { ACCELERATOR: "CPU" }, docker: "exit 9" });
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: "container1 runs on the CPU: there is no GPU to prove\n",
    });
  });

  it("refuses what is no container or no time", async () => {
    expect((await prove(TORCH, { more: { CONTAINER: "-x" } })).code).toBe(2);
    expect((await prove(TORCH, { more: { CONTAINER: "x;id" } })).code).toBe(2);
    expect((await prove(TORCH, { more: { TIMEOUT: "soon" } })).code).toBe(2);
  });
});
