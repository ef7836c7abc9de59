/** A quick look at this machine. */
import { askDocker } from "../../../machine/docker/api.ts";
import { dockerEndpoint } from "../../../machine/docker/endpoint.ts";
import { gpuTraces } from "../../../machine/gpu-traces.ts";
import { sharedGroups } from "../../../machine/groups.ts";
import type { DockerInfo } from "../../../machine/inspection.ts";
import { findSystemProgram } from "../../system/path.ts";
import type { Look } from "./look.ts";

/** A daemon that hangs is for the whole run to deal with, in milliseconds. */
const PATIENCE_MS = 3_000;

export const lookHere: Look = async ({ context: { env } }) => {
  const { host } = dockerEndpoint(env);
  const [info, groups] = await Promise.all([
    askDocker<DockerInfo>(host, "/info", PATIENCE_MS),
    sharedGroups(host),
  ]);
  const programs = ["nvidia-smi", "nvidia-container-runtime-hook", "python3"].map((name) =>
    findSystemProgram(name, env.PATH),
  );
  return {
    docker: host,
    isHere: true,
    facts: JSON.stringify([lasting(info ?? {}), groups, gpuTraces(), programs]),
  };
};

/** What of `docker info` the program depends on; the rest of it changes from one moment to the next. */
export function lasting({
  ID,
  Architecture,
  DockerRootDir,
  ServerVersion,
  CgroupDriver,
  Runtimes,
  DiscoveredDevices,
  SecurityOptions,
}: DockerInfo): unknown {
  const runtimes = Object.keys(Runtimes ?? {}).sort();
  return [
    ID,
    Architecture,
    DockerRootDir,
    ServerVersion,
    CgroupDriver,
    runtimes,
    DiscoveredDevices,
    SecurityOptions,
  ];
}
