/** From the GPUs a notebook asks for to what its container requests of the daemon. Pure. */

import type { GpuSelection } from "../../config/schema.ts";
import { UserError } from "../../errors.ts";
import { type GpuDevice, type GpuInventory, gpuDevices, gpuProblem, isNamed } from "../../machine/gpus.ts";

/** What a container is given. */
export interface GpuRequest {
  /** The part of `docker.ContainerArgs` that requests devices; empty for the CPU. */
  devices: {
    gpus?: string;
    deviceRequests?: { driver: string; deviceIds: string[]; capabilities?: string[] }[];
  };
  /** What the notebook computes on, for people: "CPU", or the names of the GPUs. */
  accelerator: string;
  /** Why the notebook runs on the CPU though it was not asked to: in a few words, and with how to fix it. */
  fallback?: { reason: string; warning: string };
}

const CPU: GpuRequest = { devices: {}, accelerator: "CPU" };

function describe(devices: GpuDevice[]): string {
  return devices.map(({ id, name }) => `GPU ${id} (${name})`).join(", ");
}

function nvidiaDevices(ids: string[] | "all"): GpuRequest["devices"] {
  if (ids === "all") return { gpus: "all" };
  // The provider takes several ids only as a device request: "device=0,1" is refused.
  const [id, ...others] = ids;
  if (others.length === 0) return { gpus: `device=${id}` };
  return { deviceRequests: [{ driver: "nvidia", deviceIds: ids, capabilities: ["gpu"] }] };
}

function cdiDevices(ids: string[] | "all"): GpuRequest["devices"] {
  const names = ids === "all" ? ["all"] : ids;
  return { deviceRequests: [{ driver: "cdi", deviceIds: names.map((id) => `nvidia.com/gpu=${id}`) }] };
}

/**
 * Resolves what a notebook asks for against what its host has.
 *
 * @throws UserError when the host cannot serve it; "auto" falls back to the CPU with a warning instead
 */
export function gpuRequest(name: string, selection: GpuSelection, inventory: GpuInventory): GpuRequest {
  if (selection === "none") return CPU;
  if (selection === "auto" && inventory.problem) {
    const [reason = ""] = inventory.problem.split(/ \(|[:,] /);
    return { ...CPU, fallback: { reason, warning: `${name} runs on the CPU: ${inventory.problem}` } };
  }
  const problem = gpuProblem(selection, inventory);
  if (problem) throw new UserError(`${name}: ${problem}`);
  const ids = Array.isArray(selection) ? selection.map(String) : "all";
  const all = gpuDevices(inventory);
  const chosen = ids === "all" ? all : all.filter((device) => ids.some((id) => isNamed(device, id)));
  const devices = inventory.runtime === "cdi" ? cdiDevices(ids) : nvidiaDevices(ids);
  return { devices, accelerator: describe(chosen) };
}
