/** Reading what `host-scripts/status.sh` says, and telling it. Pure. */

/** What is read here of one of Jupyter's kernels. */
export interface Kernel {
  execution_state: string;
  last_activity: string;
}

/** The line that `status.sh` prints. */
export interface Usage {
  containers: {
    name: string;
    /** Docker's word for it; `gone`, or `unknown` where Docker did not say. */
    state: string;
    health?: string;
    /** Of the last time that its program ended. */
    exitCode?: number;
    imageBytes: number | null;
    /** Null where the container does not say, or says something else. */
    kernels: Kernel[] | null;
  }[];
  /** Percent of the time in use, and MiB of its memory. */
  gpus: { index: number; percent: number; used: number; total: number }[];
  /** Kilobytes; null where adding them up took too long. */
  code: number | null;
  data: number | null;
  /** Of the machine, in seconds. */
  uptime: number | null;
}

/** `1.2 GB`, of kilobytes. */
export function size(kilobytes: number | null): string {
  if (kilobytes === null) return "?";
  const megabytes = (kilobytes * 1024) / 1e6;
  return megabytes < 1000 ? `${megabytes.toFixed(0)} MB` : `${(megabytes / 1000).toFixed(1)} GB`;
}

/** `2 h 05 min`, of seconds. */
export function duration(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min`
    : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** What a container's kernels do: "no kernel", "1 kernel, idle for 12 min", "2 kernels, 1 busy". */
export function kernelText(kernels: Kernel[] | null, now: number = Date.now()): string {
  if (kernels === null) return "kernels unknown";
  if (kernels.length === 0) return "no kernel";
  const busy = kernels.filter(({ execution_state }) => execution_state === "busy").length;
  const last = Math.max(...kernels.map(({ last_activity }) => Date.parse(last_activity)));
  const count = kernels.length === 1 ? "1 kernel" : `${kernels.length} kernels`;
  if (busy > 0) return `${count}, ${kernels.length === 1 ? "busy" : `${busy} busy`}`;
  return `${count}, idle for ${duration(Math.max(0, now - last) / 1000)}`;
}

/** Lines about the machine that the notebooks share. */
export function machineLines({ gpus, code, data, containers }: Usage): string[] {
  const images = new Set(containers.flatMap(({ imageBytes }) => (imageBytes === null ? [] : imageBytes)));
  if (code === null && data === null && images.size === 0) return [];
  const image = [...images].reduce((sum, bytes) => sum + bytes, 0) / 1024;
  return [
    ...gpus.map(
      ({ index, percent, used, total }) => `GPU ${index}: ${percent} % in use, ${used} of ${total} MiB`,
    ),
    `disk: code ${size(code)}, data ${size(data)}${images.size > 0 ? `, image ${size(image)}` : ""}`,
  ];
}

/** The figures for programs: numbers, with their units in their names. */
export function measured({ containers, gpus, code, data, uptime }: Usage) {
  const bytes = (kilobytes: number | null) => (kilobytes === null ? null : kilobytes * 1024);
  return {
    containers: containers.map(({ name, imageBytes, kernels }) => ({ name, imageBytes, kernels })),
    gpus: gpus.map(({ index, percent, used, total }) => ({
      index,
      busyPercent: percent,
      memoryUsedMiB: used,
      memoryTotalMiB: total,
    })),
    codeBytes: bytes(code),
    dataBytes: bytes(data),
    uptimeSeconds: uptime,
  };
}

/** What a text says in JSON; undefined where it is none. */
function parsed(text: unknown): unknown {
  try {
    return JSON.parse(String(text));
  } catch {
    return undefined;
  }
}

function isKernel(value: unknown): value is Kernel {
  const { execution_state: state, last_activity: last } = Object(value);
  return typeof state === "string" && typeof last === "string" && !Number.isNaN(Date.parse(last));
}

/** The kernels that a container names: what runs there can have it answer anything. */
function readKernels(answer: unknown): Kernel[] | null {
  const kernels = parsed(answer);
  if (!Array.isArray(kernels) || !kernels.every(isKernel)) return null;
  return kernels.map(({ execution_state, last_activity }) => ({ execution_state, last_activity }));
}

/** The last line of what a script printed, as what it is; undefined where it is something else. */
export function readUsage(printed: string): Usage | undefined {
  const usage = parsed(printed.trimEnd().split("\n").at(-1)) as Usage | undefined;
  if (!Array.isArray(usage?.containers) || !Array.isArray(usage.gpus)) return undefined;
  const containers = usage.containers.map((each) => ({ ...each, kernels: readKernels(each.kernels) }));
  return { ...usage, containers };
}
