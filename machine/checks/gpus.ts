/** What a stack takes of a machine's GPUs: a driver, a way into containers, and what the image's PyTorch was made for. Pure. */
import type { GpuSelection } from "../../config/schema.ts";
import { atLeast } from "../../text/version.ts";
import type { HostFacts, HostNeeds } from "../facts.ts";
import { type Gpu, gpuDevices, gpuProblem, isNamed } from "../gpus.ts";
import { type Check, check } from "./check.ts";

/**
 * What the PyTorch of docker/requirements.txt needs: its wheels carry CUDA 13. Driver:
 * https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html (CUDA 13.x: 580 or newer). Compute
 * capability: CUDA 13 compiles for Turing (7.5) and newer, https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/.
 */
export const IMAGE_CUDA = { version: "13", driver: "580", computeCapability: "7.5" };

export function gpuChecks(needs: HostNeeds, facts: HostFacts): Check[] {
  const wanted = needs.notebooks.some(({ gpus }) => gpus !== "none");
  if (!wanted) return [check("GPU", { found: "not asked for", needed: "none" })];
  const checks = needs.notebooks.map(({ name, gpus }, index) => selection(name, gpus, index, facts));
  const used = facts.gpus.problem === undefined ? facts.gpus.gpus : [];
  const made = needs.target === "full" ? used.flatMap(fitsImage) : [];
  return [...checks.flat(), ...sharedByAnotherName(needs.notebooks, facts), ...made, ...reload(facts)];
}

/** What two notebooks have, the one by its index and the other by its UUID: the configuration alone does not show that. */
function sharedByAnotherName(notebooks: HostNeeds["notebooks"], { gpus: inventory }: HostFacts): Check[] {
  return gpuDevices(inventory).flatMap((device) => {
    const [first, ...others] = notebooks.flatMap((notebook, index) => {
      const { gpus } = notebook;
      return Array.isArray(gpus) && gpus.some((id) => isNamed(device, id)) ? [{ ...notebook, index }] : [];
    });
    return others.flatMap(({ name, index, shareGpus }) =>
      first === undefined || (shareGpus && first.shareGpus)
        ? []
        : [
            check(
              `GPU of ${name}`,
              { found: `GPU ${device.id} (${device.uuid})`, needed: "one that no other notebook has" },
              `gpubox:notebooks[${index}].gpus: ${first.name} has GPU ${device.id} (${device.uuid}) as well: list others, or allow it with \`shareGpus: true\` in both`,
            ),
          ],
    );
  });
}

function selection(name: string, gpus: GpuSelection, index: number, { gpus: inventory }: HostFacts): Check[] {
  if (gpus === "none") return [];
  const there = inventory.gpus.map((gpu) => gpu.name).join(", ");
  const found = inventory.problem ? "none that Docker can hand out" : `${there}, by ${inventory.runtime}`;
  const needed = Array.isArray(gpus) ? gpus.join(", ") : gpus;
  const about = { found, needed: gpus === "auto" ? "a GPU, else the CPU" : `gpus: ${needed}` };
  if (gpus === "auto" && inventory.problem) {
    return [check(`GPU of ${name}`, about, `${name} will run on the CPU: ${inventory.problem}`, "warn")];
  }
  const problem = gpuProblem(gpus, inventory);
  return [check(`GPU of ${name}`, about, problem && `gpubox:notebooks[${index}].gpus: ${problem}`)];
}

/** Whether the image's PyTorch can use a GPU; what was not found out is not judged. */
function fitsImage({ index, name, driver, computeCapability }: Gpu): Check[] {
  const about = `GPU ${index} (${name})`;
  const old = driver !== undefined && !atLeast(driver, IMAGE_CUDA.driver);
  const weak = computeCapability !== undefined && !atLeast(computeCapability, IMAGE_CUDA.computeCapability);
  return [
    ...(driver === undefined
      ? []
      : [
          check(
            `driver of ${about}`,
            { found: driver, needed: `${IMAGE_CUDA.driver} or newer` },
            old
              ? `gpubox:image: the driver ${driver} is too old for CUDA ${IMAGE_CUDA.version} of the image: install ${IMAGE_CUDA.driver} or newer, on Ubuntu with \`sudo ubuntu-drivers install\`, and reboot; or pull an image made for an older CUDA`
              : undefined,
          ),
        ]),
    ...(computeCapability === undefined
      ? []
      : [
          check(
            `generation of ${about}`,
            {
              found: `compute capability ${computeCapability}`,
              needed: `${IMAGE_CUDA.computeCapability} or newer`,
            },
            weak
              ? `gpubox:image: ${name} has compute capability ${computeCapability}, and CUDA ${IMAGE_CUDA.version} of the image is for ${IMAGE_CUDA.computeCapability} and newer: pull an image made for an older CUDA, e.g. \`gpubox:image: streaminterrupt/fastai:cuda9-cudnn7-ubuntu16.04\`, or set \`gpus: none\``
              : undefined,
          ),
        ]),
  ];
}

/**
 * With devices by the toolkit's hook, systemd does not know what a container was given and takes it away at a reload
 * (NVIDIA/nvidia-container-toolkit#48); what CDI gives it knows.
 */
function reload({ gpus, cgroupDriver }: HostFacts): Check[] {
  if (gpus.problem || gpus.runtime !== "nvidia" || cgroupDriver === undefined) return [];
  const problem =
    cgroupDriver === "systemd"
      ? 'after `systemctl daemon-reload`, which updates run, containers lose their GPU ("Failed to initialize NVML: Unknown Error"): put {"exec-opts": ["native.cgroupdriver=cgroupfs"]} into /etc/docker/daemon.json and restart Docker, or configure CDI with `sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`'
      : undefined;
  return [
    check(
      "GPU after a reload of systemd",
      { found: `control groups by ${cgroupDriver}`, needed: "cgroupfs, or CDI" },
      problem,
      "warn",
    ),
  ];
}
