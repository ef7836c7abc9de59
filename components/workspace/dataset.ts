import * as pulumi from "@pulumi/pulumi";
import type { DatasetConfig } from "../../config.ts";
import type { DockerHost } from "../host/host.ts";

/** What a `Dataset` is made from. */
export interface DatasetArgs {
  host: DockerHost;
  dataset: DatasetConfig;
}

/** A data set in a folder below `data/` of the host. Deleting it leaves the folder. */
export class Dataset extends pulumi.ComponentResource {
  /** Folder on the host. */
  readonly folder: pulumi.Output<string>;

  constructor(name: string, args: DatasetArgs, opts?: pulumi.ComponentResourceOptions) {
    super("gpubox:workspace:Dataset", name, {}, opts);
    const { host, dataset } = args;
    const download = host.run(
      `${name}-download`,
      {
        script: "dataset.sh",
        environment: {
          ROOT: host.root,
          URLS: dataset.url,
          SHA256: dataset.sha256,
          FOLDER: dataset.folder,
        },
      },
      { parent: this },
    );
    this.folder = download.result;
    this.registerOutputs({ folder: this.folder });
  }
}
