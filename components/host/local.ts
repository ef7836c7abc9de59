/** This machine as a host: the Docker daemon and the folders of the person who runs Pulumi. */

import * as command from "@pulumi/command";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { RegistryAuth } from "../../machine/docker/registry-login.ts";
import type { GpuInventory } from "../../machine/gpus.ts";
import type { Machine, RunsAs } from "../../machine/inspection.ts";
import { lastLine, scriptCommand, scriptText } from "../../machine/scripts.ts";
import type { DockerHost, HostRun, HostScriptArgs } from "./host.ts";
import { registries } from "./registries.ts";
import { stackOwner } from "./stack-owner.ts";

/** What a `LocalHost` is made from. */
export interface LocalHostArgs {
  /** Folder that holds `code/` and `data/`; may start with `~/`. */
  root: string;
  /** The owner of what the stack has already, if it has anything; see owner.ts. */
  owner?: string;
  /** The login that the image is pulled with, where there is one. */
  registryAuth?: RegistryAuth;
  machine: Machine;
}

/** The machine Pulumi runs on. */
export class LocalHost extends pulumi.ComponentResource implements DockerHost {
  readonly provider: docker.Provider;
  readonly id: pulumi.Output<string>;
  readonly address = pulumi.output("127.0.0.1");
  readonly root: pulumi.Output<string>;
  readonly runsAs: pulumi.Output<RunsAs>;
  readonly home: pulumi.Output<string | undefined>;
  readonly platform: pulumi.Output<string>;
  readonly gpus: pulumi.Output<GpuInventory>;
  readonly hasPython: boolean;
  readonly lifetime = {};
  readonly owner: pulumi.Output<string>;

  constructor(name: string, args: LocalHostArgs, opts?: pulumi.ComponentResourceOptions) {
    super("gpubox:host:LocalHost", name, {}, opts);
    this.id = pulumi.output(args.machine.id);
    this.runsAs = pulumi.output(args.machine.runsAs);
    this.home = pulumi.output(args.machine.home);
    this.platform = pulumi.output(args.machine.platform);
    this.gpus = pulumi.output(args.machine.gpus);
    this.hasPython = args.machine.hasPython;
    this.owner = stackOwner(name, args.owner, { parent: this });
    this.provider = new docker.Provider(`${name}-docker`, registries(args.registryAuth), { parent: this });
    this.root = this.run(
      `${name}-root`,
      { script: "prepare.sh", environment: { ROOT: args.root } },
      { parent: this },
    ).result;
    this.registerOutputs({ root: this.root });
  }

  run(name: string, args: HostScriptArgs, opts: pulumi.ComponentResourceOptions): HostRun {
    const resource = new command.local.Command(
      name,
      {
        stdin: scriptText(args.script),
        environment: args.environment,
        interpreter: ["/bin/sh", "-c"],
        // A replacement deletes as well, and what runs on delete must run only when its entry is gone: no triggers.
        ...(args.on === "delete"
          ? { delete: scriptCommand(args.script) }
          : { create: scriptCommand(args.script), triggers: [this.id, ...(args.triggers ?? [])] }),
      },
      opts,
    );
    return { resource, result: resource.stdout.apply(lastLine) };
  }

  dockerCommand(args: string): pulumi.Output<string> {
    return pulumi.output(`docker ${args}`);
  }

  tunnelCommand(): undefined {
    return undefined;
  }
}
