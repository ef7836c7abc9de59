/** Reading what the NVIDIA driver and the Docker daemon say about GPUs. Pure: text in, facts out. */
import type { GpuSelection } from "../../config.ts";
import type { Gpu, GpuInventory } from "./host.ts";

/** The question whose answer `parseGpus` reads. */
export const NVIDIA_SMI_ARGS = ["--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"];

/** A question that old drivers refuse, so it is asked apart; `withDetails` reads the answer. */
export const NVIDIA_DETAIL_ARGS = ["--query-gpu=index,driver_version,compute_cap", "--format=csv,noheader"];

/** What `inspect.sh` is told to ask. */
export const INSPECT_ARGS = {
  NVIDIA_SMI_ARGS: NVIDIA_SMI_ARGS.join(" "),
  NVIDIA_DETAIL_ARGS: NVIDIA_DETAIL_ARGS.join(" "),
};

/** The GPUs with what the answer of `nvidia-smi` to `NVIDIA_DETAIL_ARGS` says of them; as they are where it says nothing. */
export function withDetails(gpus: Gpu[], csv = ""): Gpu[] {
  const rows = csv.split("\n").map((line) => line.split(",").map((field) => field.trim()));
  return gpus.map((gpu) => {
    const [, driver = "", capability = ""] = rows.find(([index]) => index === String(gpu.index)) ?? [];
    return {
      ...gpu,
      ...(/^\d+\./.test(driver) ? { driver } : {}),
      ...(/^\d+\.\d+$/.test(capability) ? { computeCapability: capability } : {}),
    };
  });
}

/** Reads the answer of `nvidia-smi` to `NVIDIA_SMI_ARGS`: one GPU a line. Lines of another shape are skipped. */
export function parseGpus(csv: string): Gpu[] {
  return csv.split("\n").flatMap((line) => {
    const [index, uuid, name, memory] = line.split(",").map((field) => field.trim());
    if (!index || !uuid || !name || !memory || !/^\d+$/.test(index)) return [];
    return [{ index: Number(index), uuid, name, memory: Number(memory) || 0 }];
  });
}

/** What was found on a host about GPUs. */
export interface GpuFindings {
  /** Answer of `nvidia-smi`, or why there is none. */
  driver: { csv: string; details?: string } | { missing: true } | { failed: string };
  /** Whether the daemon knows the runtime `nvidia`, or the toolkit's hook is on the host's PATH. */
  toolkit: boolean;
  /** Whether the daemon knows CDI devices of the kind `nvidia.com/gpu`. */
  cdi: boolean;
}

const TOOLKIT_GUIDE =
  "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html";

/** What the findings mean for containers. */
export function gpuInventory({ driver, toolkit, cdi }: GpuFindings): GpuInventory {
  const gpus = "csv" in driver ? withDetails(parseGpus(driver.csv), driver.details) : [];
  const runtime = toolkit ? "nvidia" : cdi ? "cdi" : undefined;
  const problem = (() => {
    if ("missing" in driver) {
      return "no NVIDIA driver on this host (`nvidia-smi` is not there): install it, on Ubuntu with `sudo ubuntu-drivers install`, on Debian with `sudo apt-get install nvidia-driver`, and reboot";
    }
    if ("failed" in driver) {
      return `the NVIDIA driver does not answer (\`nvidia-smi\`: ${driver.failed}): reboot, or reinstall the driver`;
    }
    if (gpus.length === 0)
      return "the NVIDIA driver shows no GPU: see `nvidia-smi -L` and `lspci | grep -i nvidia`";
    if (!runtime) {
      return `the NVIDIA Container Toolkit is missing, so Docker cannot hand out GPUs: install it (${TOOLKIT_GUIDE}), then run \`sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker\``;
    }
    return undefined;
  })();
  return { gpus, runtime, problem };
}

/** Why a selection of GPUs cannot be served, or undefined when it can; "auto" and "none" always can. */
export function gpuProblem(selection: GpuSelection, inventory: GpuInventory): string | undefined {
  if (selection === "none" || selection === "auto") return undefined;
  if (inventory.problem) return inventory.problem;
  if (selection === "all") return undefined;
  const known = inventory.gpus.flatMap((gpu) => [String(gpu.index), gpu.uuid.toLowerCase()]);
  const missing = selection.filter((id) => !known.includes(String(id).toLowerCase()));
  if (missing.length === 0) return undefined;
  const there = inventory.gpus.map((gpu) => `${gpu.index} (${gpu.name}, ${gpu.uuid})`).join(", ");
  return `no GPU ${missing.join(", ")} on this host; there ${inventory.gpus.length === 1 ? "is" : "are"} ${there}. Run \`nvidia-smi -L\` to see them`;
}
