import * as pulumi from "@pulumi/pulumi";
import type { DatasetConfig } from "../../config/schema.ts";
import type { DockerHost } from "../host/host.ts";
import { imageParameter, removeEntry } from "./removal.ts";

/** What a `Dataset` is made from. */
export interface DatasetArgs {
  host: DockerHost;
  /** Name of the image whose Python is taken; undefined where the host has its own. */
  image: pulumi.Input<string> | undefined;
  dataset: DatasetConfig;
  /** How many connections all data sets of the stack may hold at a time. */
  connections: number;
}

/** A data set in a folder below `data/` of the host. Deleting it leaves the folder, unless `purge` is set. */
export class Dataset extends pulumi.ComponentResource {
  /** Folder on the host. */
  readonly folder: pulumi.Output<string>;

  constructor(name: string, args: DatasetArgs, opts?: pulumi.ComponentResourceOptions) {
    super("gpubox:workspace:Dataset", name, {}, opts);
    const { host, image, dataset, connections } = args;
    const [url = ""] = dataset.url;
    const download = host.run(
      `${name}-download`,
      isS3(url)
        ? {
            script: "gpubox_data/s3.py",
            environment: { ROOT: host.root, URL: url, FOLDER: dataset.folder },
          }
        : {
            script: "gpubox_data/dataset.py",
            environment: {
              ROOT: host.root,
              ...imageParameter(image),
              ...datasetParameters(dataset, connections),
            },
          },
      { parent: this },
    );
    removeEntry(name, { host, image, kind: "data", ...dataset }, { parent: this });
    this.folder = download.result;
    this.registerOutputs({ folder: this.folder });
  }
}

const isS3 = (url: string): boolean => url.startsWith("s3://");

/** Parameters of the command `dataset`; what is not set is left out, so that a new option changes no stack that does not use it. */
export function datasetParameters(dataset: DatasetConfig, connections: number): Record<string, string> {
  const { url, sha256, size, headMd5, files, name, folder, keepArchive } = dataset;
  return {
    URLS: url.join("\n"),
    FOLDER: folder,
    CONNECTIONS: String(connections),
    ...(sha256 === undefined ? {} : { SHA256: sha256 }),
    ...(size === undefined ? {} : { SIZE: String(size) }),
    ...(headMd5 === undefined ? {} : { HEAD_MD5: headMd5 }),
    ...(files === undefined ? {} : { FILES: String(files) }),
    ...(name === undefined ? {} : { NAME: name }),
    ...(keepArchive ? { KEEP_ARCHIVE: "1" } : {}),
  };
}
