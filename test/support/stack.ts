/** A whole stack against the recorder: what `index.ts` does, on a host that needs no machine. */
import type * as pulumi from "@pulumi/pulumi";
import type { DockerHost } from "../../components/host/host.ts";
import { LocalHost } from "../../components/host/local.ts";
import { SshHost } from "../../components/host/ssh.ts";
import { Workspace } from "../../components/workspace/workspace.ts";
import { requirementsOf } from "../../config/image.ts";
import { parseConfig } from "../../config/schema.ts";
import type { RegistryAuth } from "../../machine/docker/registry-login.ts";
import type { GpuInventory } from "../../machine/gpus.ts";
import type { RunsAs } from "../../machine/inspection.ts";
import type { SshConnection } from "../../machine/ssh/command.ts";
import { awsHost } from "./aws.ts";
import { record, resolved } from "./recorder.ts";

/** A host without any GPU. */
export const NO_GPU: GpuInventory = {
  gpus: [],
  runtime: undefined,
  problem: "no NVIDIA driver on this host",
};

/** A host with two GPUs and the container toolkit. */
export const TWO_GPUS: GpuInventory = {
  gpus: [0, 1].map((index) => ({ index, uuid: `GPU-${index}`, name: "NVIDIA L4", memory: 23034 })),
  runtime: "nvidia",
  problem: undefined,
};

/** What a host has beside its GPUs. */
interface More {
  login?: RegistryAuth;
  runsAs?: RunsAs;
  /** Whether it has Python; it does by default. */
  hasPython?: boolean;
}

/** The kinds of host there are, each made without a machine. */
export const HOSTS: Record<
  string,
  (root: string, gpus: GpuInventory, more?: More) => DockerHost & pulumi.ComponentResource
> = {
  local: (root, gpus, { login, runsAs, hasPython } = {}) =>
    new LocalHost("local", { root, registryAuth: login, machine: machine(gpus, runsAs, hasPython) }),
  ssh: (root, gpus, { login, hasPython = true } = {}) =>
    new SshHost("ssh", {
      connection: SSH,
      root,
      registryAuth: login,
      stack: "gpubox/dev",
      machine: machine(gpus),
      hasPython,
    }),
  // Its GPUs are found out by a script on it, which finds none here.
  aws: (root) => awsHost({ root, stack: "gpubox/dev" }),
};

/** How the host of kind ssh is reached. */
export const SSH: SshConnection = {
  address: "gpu.example.org",
  user: "ada",
  port: 2222,
  hostKey: `ssh-ed25519 AAAA${"C".repeat(64)}`,
};

const ADA: RunsAs = { user: "1000:1000", groups: [] };

const machine = (gpus: GpuInventory, runsAs = ADA, hasPython = true) => ({
  id: "daemon-1",
  platform: "linux/amd64",
  runsAs,
  home: "/srv/people/ada",
  gpus,
  hasPython,
});

/** Records the stack that a configuration declares on a host, and its outputs. */
export function recordStack(raw: Record<string, unknown>, gpus = NO_GPU, kind = "local", more?: More) {
  return record(async () => {
    const { host: _, root, ...config } = parseConfig(raw, "dev");
    const makeHost = HOSTS[kind] as (typeof HOSTS)[string];
    const workspace = new Workspace("workspace", {
      host: makeHost(root, gpus, more),
      stack: "gpubox/dev",
      madeBy: "ada@desk",
      requirements: requirementsOf(config.image, "dev"),
      ...config,
    });
    const { notebooks, image, codeFolder, dataFolder, accelerator } = workspace;
    return {
      notebooks: await resolved(notebooks),
      image: await resolved(image),
      codeFolder: await resolved(codeFolder),
      dataFolder: await resolved(dataFolder),
      accelerator: await resolved(accelerator),
    };
  });
}
