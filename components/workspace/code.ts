import * as pulumi from "@pulumi/pulumi";
import type { CodeConfig } from "../../config.ts";
import type { DockerHost } from "../host/host.ts";

/** What a `CodeRepository` is made from. */
export interface CodeRepositoryArgs {
  host: DockerHost;
  repository: CodeConfig;
}

/** A git repository in a folder below `code/` of the host. Deleting it leaves the folder. */
export class CodeRepository extends pulumi.ComponentResource {
  /** Folder on the host. */
  readonly folder: pulumi.Output<string>;

  constructor(name: string, args: CodeRepositoryArgs, opts?: pulumi.ComponentResourceOptions) {
    super("gpubox:workspace:CodeRepository", name, {}, opts);
    const { host, repository } = args;
    const checkout = host.run(
      `${name}-checkout`,
      {
        script: "code.sh",
        environment: {
          ROOT: host.root,
          URL: repository.url,
          REF: repository.ref,
          FOLDER: repository.folder,
        },
      },
      { parent: this },
    );
    this.folder = checkout.result;
    this.registerOutputs({ folder: this.folder });
  }
}
