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
  stopTimeout?: number;
  volumes?: { containerPath?: string; volumeName?: string }[];
  mounts?: { target: string; type: "bind"; source: string; readOnly?: boolean }[];
  tmpfs?: Record<string, string>;
  ports?: Port[];
  networkMode: string;
  networksAdvanced?: { name: string }[];
  gpus?: string;
  deviceRequests?: { driver: string; count: number; deviceIds: string[]; capabilities?: string[] }[];
  /** MB. */
  shmSize?: number;
  /** MB. */
  memory?: number;
  /** MB. */
  memorySwap?: number;
  capabilities?: { drops?: string[] };
  securityOpts?: string[];
  groupAdds?: string[];
  usernsMode?: string;
  logDriver?: string;
  logOpts?: Record<string, string>;
  healthcheck?: Healthcheck;
  restart: string;
  destroyGraceSeconds?: number;
}

export interface Port {
  internal: number;
  external: number;
  ip: string;
  protocol: string;
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
  return {
    Image: inputs.image,
    Cmd: inputs.command,
    Entrypoint: inputs.entrypoints,
    Env: inputs.envs,
    Labels: Object.fromEntries((inputs.labels ?? []).map(({ label, value }) => [label, value])),
    User: inputs.user,
    WorkingDir: inputs.workingDir,
    Hostname: inputs.hostname,
    StopTimeout: inputs.stopTimeout || undefined,
    Volumes: Object.fromEntries((inputs.volumes ?? []).map(({ containerPath = "" }) => [containerPath, {}])),
    ExposedPorts: Object.fromEntries((inputs.ports ?? []).map((port) => [portKey(port), {}])),
    Healthcheck: inputs.healthcheck && healthcheck(inputs.healthcheck),
    HostConfig: {
      Binds: (inputs.volumes ?? []).map(
        ({ containerPath, volumeName }) => `${volumeName}:${containerPath}:rw`,
      ),
      Mounts: (inputs.mounts ?? []).map(({ type, target, source, readOnly = false }) => ({
        Type: type,
        Target: target,
        Source: source,
        ReadOnly: readOnly,
      })),
      Tmpfs: inputs.tmpfs,
      PortBindings: portBindings(inputs.ports ?? []),
      NetworkMode: inputs.networkMode,
      DeviceRequests: inputs.gpus
        ? [gpuRequest(inputs.gpus)]
        : (inputs.deviceRequests ?? []).map(({ driver, count, deviceIds, capabilities = [] }) => ({
            Driver: driver,
            Count: count,
            DeviceIDs: deviceIds,
            Capabilities: [capabilities],
          })),
      ShmSize: inputs.shmSize && inputs.shmSize * megabytes,
      Memory: inputs.memory && inputs.memory * megabytes,
      MemorySwap: inputs.memorySwap && inputs.memorySwap * megabytes,
      CapDrop: inputs.capabilities?.drops,
      SecurityOpt: inputs.securityOpts,
      GroupAdd: inputs.groupAdds,
      UsernsMode: inputs.usernsMode,
      LogConfig: { Type: inputs.logDriver ?? "", Config: inputs.logOpts ?? {} },
      RestartPolicy: { Name: inputs.restart, MaximumRetryCount: 0 },
      // Never left to the daemon's own default, as the official plugin does.
      Init: inputs.init ?? false,
    },
  };
}

/** The device request of `gpus`: `all`, or `device=` and an id. */
function gpuRequest(gpus: string): Docker.DeviceRequest {
  const id = /^device=(.*)$/s.exec(gpus)?.[1];
  return { ...(id === undefined ? { Count: -1 } : { DeviceIDs: [id] }), Capabilities: [["gpu"]] };
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
