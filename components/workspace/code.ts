import * as pulumi from "@pulumi/pulumi";
import type { CodeConfig } from "../../config/schema.ts";
import { codeParameters } from "../../machine/scripts.ts";
import type { DockerHost } from "../host/host.ts";
import { imageParameter, removeEntry } from "./removal.ts";

/** What a `CodeRepository` is made from. */
export interface CodeRepositoryArgs {
  host: DockerHost;
  /** Name of the image whose Python is taken; undefined where the host has its own. */
  image: pulumi.Input<string> | undefined;
  repository: CodeConfig;
}

/** A git repository in a folder below `code/` of the host. Deleting it leaves the folder, unless `purge` is set. */
export class CodeRepository extends pulumi.ComponentResource {
  /** Folder on the host. */
  readonly folder: pulumi.Output<string>;

  constructor(name: string, args: CodeRepositoryArgs, opts?: pulumi.ComponentResourceOptions) {
    super("gpubox:workspace:CodeRepository", name, {}, opts);
    const { host, image, repository } = args;
    const checkout = host.run(
      `${name}-checkout`,
      {
        script: "gpubox_data/code.py",
        environment: { ROOT: host.root, ...imageParameter(image), ...codeParameters(repository) },
      },
      { parent: this },
    );
    removeEntry(name, { host, image, kind: "code", ...repository }, { parent: this });
    this.folder = checkout.result;
    this.registerOutputs({ folder: this.folder });
  }
}
