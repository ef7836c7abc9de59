/** Reading what the NVIDIA driver and the Docker daemon say about GPUs. Pure: text in, facts out. */
import type { GpuSelection } from "../config/schema.ts";

/** The question whose answer `parseGpus` reads. */
export const NVIDIA_SMI_ARGS = ["--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"];

/** A question that old drivers refuse, so it is asked apart; `withDetails` reads the answer. */
export const NVIDIA_DETAIL_ARGS = [
  "--query-gpu=index,driver_version,compute_cap,mig.mode.current",
  "--format=csv,noheader",
];

/** What lists the slices of GPUs; `parseSlices` reads the answer. Asked where `mayHaveSlices`. */
export const NVIDIA_LIST_ARGS = ["-L"];

/** Whether the answer to `NVIDIA_DETAIL_ARGS` leaves it open that a GPU is cut into slices: a call of nvidia-smi can take seconds. */
export function mayHaveSlices(details: string): boolean {
  return details.trim() === "" || details.includes("Enabled");
}

/** The slices of each GPU that has some, by its index, as `nvidia-smi -L` lists them below it. */
export function parseSlices(list: string): Map<number, GpuSlice[]> {
  const slices = new Map<number, GpuSlice[]>();
  let gpu = -1;
  for (const line of list.split("\n")) {
    gpu = Number(/^GPU (\d+):/.exec(line)?.[1] ?? gpu);
    const [, profile, index, uuid] =
      /^\s+MIG\s+(\S+)\s+Device\s+(\d+): \(UUID: (MIG-[^)\s]+)\)/.exec(line) ?? [];
    if (!profile || !uuid) continue;
    slices.set(gpu, [...(slices.get(gpu) ?? []), { index: Number(index), uuid, profile }]);
  }
  return slices;
}

/** What `inspect.sh` is told to ask. */
export const INSPECT_ARGS = {
  NVIDIA_SMI_ARGS: NVIDIA_SMI_ARGS.join(" "),
  NVIDIA_DETAIL_ARGS: NVIDIA_DETAIL_ARGS.join(" "),
};

/** The GPUs with what the answers of `nvidia-smi` to `NVIDIA_DETAIL_ARGS` and `NVIDIA_LIST_ARGS` say of them; as they are where it says nothing. */
export function withDetails(gpus: Gpu[], csv = "", list = ""): Gpu[] {
  const slices = parseSlices(list);
  const rows = csv.split("\n").map((line) => line.split(",").map((field) => field.trim()));
  return gpus.map((gpu) => {
    const [, driver = "", capability = "", mig] = rows.find(([index]) => index === String(gpu.index)) ?? [];
    return {
      ...gpu,
      ...(/^\d+\./.test(driver) ? { driver } : {}),
      ...(/^\d+\.\d+$/.test(capability) ? { computeCapability: capability } : {}),
      ...(mig === "Enabled" || slices.has(gpu.index) ? { slices: slices.get(gpu.index) ?? [] } : {}),
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
  driver: { csv: string; details?: string; list?: string } | { missing: true } | { failed: string };
  /** Whether the daemon knows the runtime `nvidia`, or the toolkit's hook is on the host's PATH. */
  toolkit: boolean;
  /** Whether the daemon knows CDI devices of the kind `nvidia.com/gpu`. */
  cdi: boolean;
}

const TOOLKIT_GUIDE =
  "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html";

/** What the findings mean for containers. */
export function gpuInventory({ driver, toolkit, cdi }: GpuFindings): GpuInventory {
  const gpus = "csv" in driver ? withDetails(parseGpus(driver.csv), driver.details, driver.list) : [];
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
    const [uncut] = gpus;
    if (uncut && gpuDevices({ gpus }).length === 0) return `${isCut(uncut)}: ${makeSlices(uncut)}`;
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
  const devices = gpuDevices(inventory);
  const missing = selection.filter((id) => !devices.some((device) => isNamed(device, id)));
  if (missing.length === 0) return undefined;
  const there = devices.map(({ id, name, uuid }) => `${id} (${name}, ${uuid})`).join(", ") || "none";
  const cut = inventory.gpus.find((gpu) => gpu.slices && missing.some((id) => isNamed(deviceOf(gpu), id)));
  if (cut) {
    return `${isCut(cut)}: ${cut.slices?.length === 0 ? makeSlices(cut) : `name one of them. There are ${there}`}`;
  }
  return `no GPU ${missing.join(", ")} on this host; there ${devices.length > 1 ? "are" : "is"} ${there}. Run \`nvidia-smi -L\` to see them`;
}

const isCut = ({ index, name }: Gpu) =>
  `GPU ${index} (${name}) is split into slices (MIG) and cannot be used whole`;

const makeSlices = ({ index }: Gpu) =>
  `it has none yet, so create some with \`sudo nvidia-smi mig -i ${index} -cgi PROFILE -C\`, or turn MIG off with \`sudo nvidia-smi -i ${index} -mig 0\``;

/** What can be given to a container: a whole GPU, or a slice of one that is cut. */
export interface GpuDevice {
  /** Its index, or `GPU:SLICE`. */
  id: string;
  uuid: string;
  name: string;
}

const deviceOf = ({ index, uuid, name }: Gpu): GpuDevice => ({ id: String(index), uuid, name });

/** All that can be given to containers of a host. */
export function gpuDevices({ gpus }: Pick<GpuInventory, "gpus">): GpuDevice[] {
  return gpus.flatMap((gpu) =>
    gpu.slices === undefined
      ? [deviceOf(gpu)]
      : gpu.slices.map(({ index, uuid, profile }) => ({
          id: `${gpu.index}:${index}`,
          uuid,
          name: `${profile} of ${gpu.name}`,
        })),
  );
}

/** Whether an entry of `gpus` means this one. */
export function isNamed({ id, uuid }: GpuDevice, named: number | string): boolean {
  return [id, uuid.toLowerCase()].includes(String(named).toLowerCase());
}

/** One NVIDIA GPU of a host. */
export interface Gpu {
  /** Index in the driver's order, as in `nvidia-smi -i`. */
  index: number;
  /** `GPU-…`, stable across reboots. */
  uuid: string;
  /** Product name. */
  name: string;
  /** Memory in MiB. */
  memory: number;
  /** Version of the driver, e.g. `580.95.05`; undefined where it was not found out. */
  driver?: string;
  /** What it can compute, e.g. `8.9`; undefined where an old driver does not say. */
  computeCapability?: string;
  /** The slices that it is cut into, where that (MIG) is switched on: then it cannot be had whole. */
  slices?: GpuSlice[];
}

/** Part of a GPU that is cut into several (MIG). */
export interface GpuSlice {
  /** Index in its GPU. */
  index: number;
  /** `MIG-…`. */
  uuid: string;
  /** Its share of computing and of memory, e.g. `3g.20gb`. */
  profile: string;
}

/** What is known about the GPUs of a host. */
export interface GpuInventory {
  /** The GPUs the driver shows; empty where there is none, or no driver. */
  gpus: Gpu[];
  /** How the Docker daemon hands GPUs to containers; undefined where it cannot. */
  runtime: "nvidia" | "cdi" | undefined;
  /** Why containers on this host cannot have a GPU, with the command that fixes it; undefined where they can. */
  problem: string | undefined;
}
