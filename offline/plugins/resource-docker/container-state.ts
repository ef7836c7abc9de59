import type Docker from "dockerode";
import type { Properties } from "../shared/values.ts";
import { megabytes, type Port } from "./container-spec.ts";
import { formatDuration } from "./duration.ts";

/**
 * The state of a container as the daemon describes it, on top of what was known of it (`before`). What the official
 * plugin never reads back (envs, labels, volumes and the settings of the plugin itself) stays as it was.
 */
export function containerState(found: Docker.ContainerInspectInfo, before: Properties): Properties {
  const { HostConfig: host, State: run } = found;
  // The types lack these.
  const config = found.Config as typeof found.Config & { StopSignal?: string; StopTimeout?: number };
  const network = found.NetworkSettings as typeof found.NetworkSettings & { Bridge?: string };
  const state: Properties = {
    ...before,
    name: found.Name.replace(/^\//, ""),
    rm: host.AutoRemove,
    // By id where it was asked for by id, else by name.
    image: String(before.image).startsWith("sha256:") ? found.Image : config.Image,
    hostname: config.Hostname,
    command: config.Cmd ?? [],
    entrypoints: typeof config.Entrypoint === "string" ? [config.Entrypoint] : (config.Entrypoint ?? []),
    user: config.User,
    workingDir: config.WorkingDir,
    restart: host.RestartPolicy?.Name,
    init: host.Init ?? false,
    runtime: host.Runtime,
    securityOpts: host.SecurityOpt ?? [],
    mounts: (host.Mounts ?? []).map(mountState),
    tmpfs: host.Tmpfs,
    hosts: (host.ExtraHosts ?? []).map(hostState),
    memory: inMegabytes(host.Memory),
    memorySwap: inMegabytes(host.MemorySwap),
    shmSize: inMegabytes(host.ShmSize),
    cpuSet: host.CpusetCpus,
    logDriver: host.LogConfig?.Type,
    networkMode: host.NetworkMode,
    ipcMode: host.IpcMode,
    groupAdds: host.GroupAdd ?? [],
    usernsMode: host.UsernsMode ?? "",
    stopSignal: config.StopSignal,
    stopTimeout: config.StopTimeout,
    bridge: network.Bridge,
    // No inputs here, but defaults of the official plugin: without them it would replace what it takes over.
    readOnly: host.ReadonlyRootfs ?? false,
    tty: config.Tty,
    stdinOpen: config.OpenStdin,
    networkDatas: Object.entries(network.Networks ?? {}).map(([name, data]) => ({
      networkName: name,
      ipAddress: data.IPAddress,
      ipPrefixLength: data.IPPrefixLen,
      gateway: data.Gateway,
      globalIpv6Address: data.GlobalIPv6Address,
      globalIpv6PrefixLength: data.GlobalIPv6PrefixLen,
      ipv6Gateway: data.IPv6Gateway,
      macAddress: data.MacAddress,
    })),
  };
  if (host.NanoCpus) state.cpus = cpusState(host.NanoCpus);
  if (host.CapAdd?.length || host.CapDrop?.length)
    state.capabilities = { adds: host.CapAdd ?? [], drops: host.CapDrop ?? [] };
  if (config.Healthcheck) state.healthcheck = healthcheckState(config.Healthcheck);
  if (before.logOpts) state.logOpts = host.LogConfig?.Config;
  if (before.gpus) state.gpus = gpusState(host.DeviceRequests ?? []) ?? before.gpus;
  else if (before.deviceRequests) state.deviceRequests = (host.DeviceRequests ?? []).map(deviceRequestState);
  // A container that stopped has no ports: with `mustRun` that is a difference, without it is none.
  if (before.ports && (run.Running || before.mustRun)) state.ports = portStates(network.Ports);
  if (!run.Running) {
    state.exitCode = run.ExitCode;
    // Not what was asked for: the next `up` sees the difference and starts the container.
    state.mustRun = false;
  }
  return state;
}

/** Never a whole number: `cpus: "2"` is a difference each time, `"2.0"` is none. */
function cpusState(nanoCpus: number): string {
  const cpus = String(nanoCpus / 1e9);
  return cpus.includes(".") ? cpus : `${cpus}.0`;
}

function inMegabytes(bytes = 0): number {
  return bytes > 0 ? Math.floor(bytes / megabytes) : bytes;
}

/** An address with colons does not survive this: the official plugin cuts it off at the first, too. */
function hostState(entry: string): Properties {
  const [host, ip] = entry.split(":");
  return { host, ip };
}

function mountState(mount: Docker.MountSettings): Properties {
  return {
    type: mount.Type,
    target: mount.Target,
    source: mount.Source,
    readOnly: mount.ReadOnly,
    bindOptions: mount.BindOptions && { propagation: mount.BindOptions.Propagation },
    tmpfsOptions: mount.TmpfsOptions && {
      sizeBytes: mount.TmpfsOptions.SizeBytes,
      mode: mount.TmpfsOptions.Mode,
    },
  };
}

function healthcheckState(check: Docker.HealthConfig): Properties {
  return {
    tests: check.Test ?? [],
    interval: formatDuration(check.Interval ?? 0),
    timeout: formatDuration(check.Timeout ?? 0),
    startPeriod: formatDuration(check.StartPeriod ?? 0),
    startInterval: formatDuration(check.StartInterval ?? 0),
    retries: check.Retries ?? 0,
  };
}

function gpusState(requests: Docker.DeviceRequest[]): string | undefined {
  const [request, ...others] = requests;
  if (request === undefined || others.length > 0) return undefined;
  if (request.DeviceIDs?.length) return `device=${request.DeviceIDs.join(",")}`;
  return request.Count === -1 && request.Capabilities?.flat().includes("gpu") ? "all" : undefined;
}

function deviceRequestState(request: Docker.DeviceRequest): Properties {
  return {
    driver: request.Driver,
    count: request.Count,
    deviceIds: request.DeviceIDs ?? [],
    capabilities: request.Capabilities?.[0] ?? [],
    options: request.Options,
  };
}

function portStates(ports: Docker.ContainerInspectInfo["NetworkSettings"]["Ports"]): Properties[] {
  const states = Object.entries(ports ?? {}).flatMap(([key, bindings]) => {
    const [internal, protocol = "tcp"] = key.split("/");
    return (bindings ?? []).map(
      ({ HostIp, HostPort }): Port => ({
        internal: Number(internal),
        external: Number(HostPort),
        ip: HostIp,
        protocol,
      }),
    );
  });
  return states.sort((a, b) => a.internal - b.internal).map((port) => ({ ...port }));
}
