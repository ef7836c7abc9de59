import type Docker from "dockerode";
import { parseDuration } from "./duration.ts";

/** The inputs of docker.Container, checked and with their defaults. */
export interface ContainerInputs {
  name: string;
  image: string;
  command?: string[];
  entrypoints?: string[];
  envs?: string[];
  labels?: { label: string; value: string }[];
  user?: string;
  workingDir?: string;
  hostname?: string;
  init?: boolean;
  stopSignal?: string;
  stopTimeout?: number;
  uploads?: Upload[];
  volumes?: { containerPath?: string; hostPath?: string; volumeName?: string; readOnly?: boolean }[];
  mounts?: Mount[];
  tmpfs?: Record<string, string>;
  ports?: Port[];
  networkMode: string;
  networksAdvanced?: { name: string; aliases?: string[] }[];
  hosts?: { host: string; ip: string }[];
  gpus?: string;
  deviceRequests?: DeviceRequest[];
  runtime?: string;
  /** MB. */
  shmSize?: number;
  ipcMode?: string;
  /** MB. */
  memory?: number;
  /** MB; -1: no limit. */
  memorySwap?: number;
  cpus?: string;
  cpuSet?: string;
  capabilities?: { adds?: string[]; drops?: string[] };
  securityOpts?: string[];
  groupAdds?: string[];
  usernsMode?: string;
  logDriver?: string;
  logOpts?: Record<string, string>;
  healthcheck?: Healthcheck;
  restart: string;
  start: boolean;
  wait: boolean;
  /** Seconds. */
  waitTimeout: number;
  attach: boolean;
  logs: boolean;
  mustRun: boolean;
  rm: boolean;
  removeVolumes: boolean;
  destroyGraceSeconds?: number;
}

export interface Upload {
  file: string;
  content?: string;
  contentBase64?: string;
  executable: boolean;
  permissions?: string;
}

interface Mount {
  target: string;
  type: "bind" | "volume" | "tmpfs";
  source?: string;
  readOnly?: boolean;
  bindOptions?: { propagation?: Docker.MountPropagation };
  tmpfsOptions?: { sizeBytes?: number; mode?: number };
}

export interface Port {
  internal: number;
  external?: number;
  ip: string;
  protocol: string;
}

interface DeviceRequest {
  driver: string;
  count: number;
  deviceIds?: string[];
  capabilities?: string[];
  options?: Record<string, string>;
}

/** Intervals are Go durations. */
interface Healthcheck {
  tests?: string[];
  interval: string;
  timeout: string;
  startPeriod: string;
  startInterval: string;
  retries: number;
}

export const megabytes = 1024 * 1024;

/** What the daemon is asked to create. */
export function containerSpec(inputs: ContainerInputs): Docker.ContainerCreateOptions {
  const binds = (inputs.volumes ?? []).flatMap(({ containerPath, hostPath, volumeName, readOnly }) => {
    const source = hostPath || volumeName;
    return source ? [`${source}:${containerPath}:${readOnly ? "ro" : "rw"}`] : [];
  });
  return {
    Image: inputs.image,
    Cmd: inputs.command,
    Entrypoint: inputs.entrypoints,
    Env: inputs.envs,
    Labels: Object.fromEntries((inputs.labels ?? []).map(({ label, value }) => [label, value])),
    User: inputs.user,
    WorkingDir: inputs.workingDir,
    Hostname: inputs.hostname,
    StopSignal: inputs.stopSignal,
    StopTimeout: inputs.stopTimeout || undefined,
    Volumes: Object.fromEntries((inputs.volumes ?? []).map(({ containerPath = "" }) => [containerPath, {}])),
    ExposedPorts: Object.fromEntries((inputs.ports ?? []).map((port) => [portKey(port), {}])),
    Healthcheck: inputs.healthcheck && healthcheck(inputs.healthcheck),
    HostConfig: {
      Binds: binds,
      Mounts: (inputs.mounts ?? []).map(mount),
      Tmpfs: inputs.tmpfs,
      PortBindings: portBindings(inputs.ports ?? []),
      NetworkMode: inputs.networkMode,
      ExtraHosts: (inputs.hosts ?? []).map(({ host, ip }) => `${host}:${ip}`),
      DeviceRequests: inputs.gpus
        ? [gpuRequest(inputs.gpus)]
        : (inputs.deviceRequests ?? []).map(deviceRequest),
      Runtime: inputs.runtime,
      ShmSize: inputs.shmSize && inputs.shmSize * megabytes,
      IpcMode: inputs.ipcMode,
      Memory: inputs.memory && inputs.memory * megabytes,
      MemorySwap: swapBytes(inputs.memorySwap),
      NanoCpus: inputs.cpus === undefined ? undefined : Math.round(Number(inputs.cpus) * 1e9),
      CpusetCpus: inputs.cpuSet,
      CapAdd: inputs.capabilities?.adds?.map(capability),
      CapDrop: inputs.capabilities?.drops?.map(capability),
      SecurityOpt: inputs.securityOpts,
      GroupAdd: inputs.groupAdds,
      UsernsMode: inputs.usernsMode,
      LogConfig: { Type: inputs.logDriver ?? "", Config: inputs.logOpts ?? {} },
      RestartPolicy: { Name: inputs.restart, MaximumRetryCount: 0 },
      AutoRemove: inputs.rm,
      // Never left to the daemon's own default, as the official plugin does.
      Init: inputs.init ?? false,
    },
  };
}

/** The daemon's number for `memorySwap`: bytes, or -1 for no limit. */
export function swapBytes(memorySwap: number | undefined): number | undefined {
  return memorySwap !== undefined && memorySwap > 0 ? memorySwap * megabytes : memorySwap;
}

/**
 * The device request of `gpus`: `all`, a number, or fields as in `docker run --gpus` (`device=0`, `driver=nvidia`).
 * A list of ids cannot be written here: `device=0,1` is one id and a number, which the daemon refuses.
 *
 * @throws when it is none of these
 */
export function gpuRequest(gpus: string): Docker.DeviceRequest {
  const request: Docker.DeviceRequest = { Capabilities: [["gpu"]] };
  const seen = new Set<string>();
  for (const field of gpus
    .trim()
    .replace(/^(["'])(.*)\1$/, "$2")
    .split(",")) {
    const [name = "", value] = field.split(/=(.*)/s);
    const key = value === undefined ? "count" : name;
    if (seen.has(key)) throw new Error(`gpus "${gpus}" gives ${key} more than once`);
    seen.add(key);
    if (key === "count") request.Count = gpuCount(gpus, value ?? name);
    else if (key === "device") request.DeviceIDs = [value ?? ""];
    else if (key === "driver") request.Driver = value;
    else if (key === "capabilities") request.Capabilities = [[value ?? "", "gpu"]];
    else throw new Error(`gpus "${gpus}" has an unexpected key "${key}"`);
  }
  if (request.Count === undefined && request.DeviceIDs === undefined) request.Count = 1;
  return request;
}

function gpuCount(gpus: string, count: string): number {
  if (count === "all") return -1;
  if (/^\d+$/.test(count)) return Number(count);
  throw new Error(`gpus "${gpus}" has an invalid count "${count}": give "all", a number, or "device=<id>"`);
}

function deviceRequest({
  driver,
  count,
  deviceIds,
  capabilities,
  options,
}: DeviceRequest): Docker.DeviceRequest {
  return {
    Driver: driver,
    Count: count,
    DeviceIDs: deviceIds ?? [],
    Capabilities: [capabilities ?? []],
    Options: options ?? {},
  };
}

/** The daemon gives back what it was told: a short name, made long here, is a difference each time. */
function capability(name: string): string {
  const upper = name.toUpperCase();
  return upper === "ALL" || upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
}

function portKey({ internal, protocol }: Port): string {
  return `${internal}/${protocol}`;
}

function portBindings(ports: Port[]): Docker.PortMap {
  const bindings: Docker.PortMap = {};
  for (const port of ports) {
    const binding = { HostIp: port.ip, HostPort: String(port.external ?? 0) };
    bindings[portKey(port)] = [...(bindings[portKey(port)] ?? []), binding];
  }
  return bindings;
}

function mount({
  type,
  target,
  source = "",
  readOnly = false,
  bindOptions,
  tmpfsOptions,
}: Mount): Docker.MountSettings {
  const settings: Docker.MountSettings = { Type: type, Target: target, Source: source, ReadOnly: readOnly };
  if (type === "bind" && bindOptions?.propagation)
    settings.BindOptions = { Propagation: bindOptions.propagation };
  if (type === "tmpfs" && tmpfsOptions)
    settings.TmpfsOptions = { SizeBytes: tmpfsOptions.sizeBytes ?? 0, Mode: tmpfsOptions.mode ?? 0 };
  return settings;
}

function healthcheck(check: Healthcheck): Docker.HealthConfig {
  return {
    Test: check.tests,
    Interval: parseDuration(check.interval),
    Timeout: parseDuration(check.timeout),
    StartPeriod: parseDuration(check.startPeriod),
    StartInterval: parseDuration(check.startInterval),
    Retries: check.retries,
  };
}
