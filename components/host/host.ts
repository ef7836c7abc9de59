/**
 * The seam between a workspace and the machine it lands on.
 *
 * A workspace takes a `DockerHost` and never asks which kind it is; each kind of host is one file beside
 * this one. What a host offers is what a workspace needs, and no more.
 */
import { readFileSync } from "node:fs";
import type * as docker from "@pulumi/docker";
import type * as pulumi from "@pulumi/pulumi";
import { exportLines } from "./shell.ts";
import type { SshConnection } from "./ssh-command.ts";

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
  /** Why containers on this host cannot have a GPU, with the command that mends it; undefined where they can. */
  problem: string | undefined;
}

/** Who the person is in a container. */
export interface RunsAs {
  /** `uid:gid`. */
  user: string;
  /** Numbers of further groups, in order. */
  groups: string[];
  /** `host` where the daemon would give the container ids of its own. */
  usernsMode?: "host";
}

/** A script of `host-scripts/`. */
export type HostScript =
  | "wait-for-ssh.sh"
  | "wait-for-machine.sh"
  | "grow-root.sh"
  | "mount-volume.sh"
  | "grow-root.sh"
  | "install-idle-stop.sh"
  | "inspect.sh"
  | "prepare.sh"
  | "code.sh"
  | "dataset.sh"
  | "s3-sync.sh"
  | "retire.sh"
  | "list-own.sh"
  | "teardown.sh"
  | "remove-volume.sh"
  | "own-home.sh"
  | "wait-for-notebook.sh"
  | "look-over-packages.sh"
  | "prove-folders.sh"
  | "prove-gpu.sh"
  | "status.sh";

/** How to run a script of `host-scripts/` on a host. */
export interface HostScriptArgs {
  script: HostScript;
  /** The script's parameters. Never a secret: they are kept in the state in clear. */
  environment: Record<string, pulumi.Input<string>>;
  /**
   * When it runs: when the resource is made, or something about it changes (the default); or only when the resource is
   * deleted, because its entry has left the configuration or the stack is torn down.
   */
  on?: "create" | "delete";
  /** What makes the script run again when it changes, beside the parameters and the machine itself. */
  triggers?: pulumi.Input<string>[];
}

/** A script that was run, as a resource to depend on. */
export interface HostRun {
  resource: pulumi.Resource;
  /** The last line the script printed: its result. */
  result: pulumi.Output<string>;
}

/** A machine that the stack made, for people and for the commands that deal with it. */
export interface MachineInfo {
  /** Id of the instance. */
  instance: string;
  /** Id of the volume that holds the root. */
  dataVolume: string;
  connection: SshConnection;
  /** What it costs, in words, and who says so; an earlier version's state has no source. */
  cost: { running: string; stopped: string; source?: string };
}

/** A machine with a Docker daemon that a workspace can be put on. */
export interface DockerHost {
  /** The provider every Docker resource on this host uses. */
  provider: docker.Provider;
  /** Identity of the machine: changes when it is another one, so that what lived on it is made again. */
  id: pulumi.Output<string>;
  /** Address under which the person's browser reaches ports bound to the host's loopback. */
  address: pulumi.Output<string>;
  /** Folder on the host that holds `code/` and `data/`, absolute; there once this is known. */
  root: pulumi.Output<string>;
  /** Who the person is in the host's containers. */
  runsAs: pulumi.Output<RunsAs>;
  /** Home folder of the person on the host; undefined where that is not known. */
  home: pulumi.Output<string | undefined>;
  /** Platform of the host's images, e.g. `linux/amd64`. */
  platform: pulumi.Output<string>;
  /** What is known about the host's GPUs. */
  gpus: pulumi.Output<GpuInventory>;
  /** What ties a resource on the Docker daemon to the machine's life; empty where each is removed by itself. */
  lifetime: Pick<pulumi.CustomResourceOptions, "replaceWith" | "deletedWith">;
  /** What tells this stack's things on the host's Docker daemon from those of another state; see owner.ts. */
  owner: pulumi.Output<string>;
  /** What is to be known of a machine that the stack made; undefined for one that was there before. */
  machine?: pulumi.Output<MachineInfo>;
  /** Runs a script on the host, as the person. */
  run(name: string, args: HostScriptArgs, opts: pulumi.ComponentResourceOptions): HostRun;
  /** The command the person types to run `docker ARGUMENTS` on this host. */
  dockerCommand(args: string): pulumi.Output<string>;
  /** The command that brings ports of the host's loopback to the person's own; undefined where they are there already. */
  tunnelCommand(ports: number[]): pulumi.Output<string> | undefined;
}

/**
 * Command with which a shell runs a script that it is handed on its standard input: so a host needs none of our
 * files, and an error shows this line instead of the whole script.
 */
export function scriptCommand(script: HostScript): string {
  return `# host-scripts/${script}, from standard input\neval "$(cat)"`;
}

/** Text of a script, with what it takes in from beside it (`. ./common.sh`) in place. */
export function scriptText(script: string): string {
  const text = readFileSync(new URL(`../../host-scripts/${script}`, import.meta.url), "utf8");
  return text.replace(/^\. \.\/(.+)$/gm, (_, name: string) => scriptText(name));
}

/** Text of a script that sets its own parameters: ssh hands no environment over. */
export function selfContained(script: HostScript, parameters: Record<string, string>): string {
  return exportLines(parameters) + scriptText(script);
}

/** The last line of what a script printed: its result. */
export function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}
