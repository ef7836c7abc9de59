/**
 * The seam between a workspace and the machine it lands on.
 *
 * A workspace takes a `DockerHost` and never asks which kind it is; each kind of host is one file beside
 * this one. What a host offers is what a workspace needs, and no more.
 */
import type * as docker from "@pulumi/docker";
import type * as pulumi from "@pulumi/pulumi";
import type { GpuInventory } from "../../machine/gpus.ts";
import type { RunsAs } from "../../machine/inspection.ts";
import type { MachineInfo } from "../../machine/outputs.ts";
import type { HostScript } from "../../machine/scripts.ts";

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
  /** Whether it has the Python that code and data are put there with; else the image's is taken. */
  hasPython: boolean;
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
