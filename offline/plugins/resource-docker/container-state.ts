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
    memory: inMegabytes(host.Memory),
    memorySwap: inMegabytes(host.MemorySwap),
    shmSize: inMegabytes(host.ShmSize),
    logDriver: host.LogConfig?.Type,
    networkMode: host.NetworkMode,
    ipcMode: host.IpcMode,
    groupAdds: host.GroupAdd ?? [],
    usernsMode: host.UsernsMode ?? "",
    stopSignal: config.StopSignal,
    stopTimeout: config.StopTimeout,
    bridge: network.Bridge,
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
  if (host.CapAdd?.length || host.CapDrop?.length)
    state.capabilities = { adds: host.CapAdd ?? [], drops: host.CapDrop ?? [] };
  if (config.Healthcheck) state.healthcheck = healthcheckState(config.Healthcheck);
  if (before.logOpts) state.logOpts = host.LogConfig?.Config;
  if (before.gpus) state.gpus = gpusState(host.DeviceRequests ?? []) ?? before.gpus;
  else if (before.deviceRequests) state.deviceRequests = (host.DeviceRequests ?? []).map(deviceRequestState);
  // A container that stopped has no ports, which is a difference.
  if (before.ports) state.ports = portStates(network.Ports);
  if (!run.Running) {
    state.exitCode = run.ExitCode;
    // Not what was asked for: the next `up` sees the difference and starts the container.
    state.mustRun = false;
  }
  return state;
}

function inMegabytes(bytes = 0): number {
  return bytes > 0 ? Math.floor(bytes / megabytes) : bytes;
}

function mountState(mount: Docker.MountSettings): Properties {
  return {
    type: mount.Type,
    target: mount.Target,
    source: mount.Source,
    readOnly: mount.ReadOnly,
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
  return request.Count === -1 ? "all" : undefined;
}

function deviceRequestState(request: Docker.DeviceRequest): Properties {
  return {
    driver: request.Driver,
    count: request.Count,
    deviceIds: request.DeviceIDs ?? [],
    capabilities: request.Capabilities?.[0] ?? [],
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
