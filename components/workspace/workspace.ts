import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import type { CodeConfig, DatasetConfig, ImageConfig, NotebookConfig } from "../../config/schema.ts";
import { stackSlug } from "../../machine/names.ts";
import type { NotebookInfo } from "../../machine/outputs.ts";
import { OWNER_LABEL, STACK_LABEL } from "../../machine/owner.ts";
import type { DockerHost } from "../host/host.ts";
import { CodeRepository } from "./code.ts";
import { LASTING, lastingLabels } from "./container.ts";
import { Dataset } from "./dataset.ts";
import { NotebookImage } from "./image.ts";
import { Notebook } from "./notebook.ts";

/** What a `Workspace` is made from. */
export interface WorkspaceArgs {
  host: DockerHost;
  image: ImageConfig;
  /** Lines of the requirements file that `image` names. */
  requirements: string[];
  code: CodeConfig[];
  data: DatasetConfig[];
  /** How many connections all downloads of data sets may hold at a time. */
  connections: number;
  notebooks: NotebookConfig[];
  /** `<project>/<stack>`: the label on everything the stack owns. */
  stack: string;
  /** Who makes it, and where the state is, in words. */
  madeBy: string;
}

/**
 * Notebooks on a host, with their image, code and data. Only what must wait does: the image is built while
 * code and data are downloaded, and a notebook starts as soon as its image is there. On a host without Python they wait for the image.
 */
export class Workspace extends pulumi.ComponentResource {
  /** The notebooks, in the order of the configuration; a secret, as the urls hold tokens. */
  readonly notebooks: pulumi.Output<NotebookInfo[]>;
  /** Name of the image the notebooks run. */
  readonly image: pulumi.Output<string>;
  /** Folder on the host that the notebooks see as `/code`. */
  readonly codeFolder: pulumi.Output<string>;
  /** Folder on the host that the notebooks see as `/data`. */
  readonly dataFolder: pulumi.Output<string>;
  /** What the notebooks compute on: "CPU", with why where a GPU was looked for, or their GPUs. */
  readonly accelerator: pulumi.Output<string>;

  constructor(name: string, args: WorkspaceArgs, opts?: pulumi.ComponentResourceOptions) {
    super("gpubox:workspace:Workspace", name, {}, opts);
    const { host, stack, madeBy } = args;
    const labels = { [STACK_LABEL]: stack, [OWNER_LABEL]: host.owner };
    const child = { parent: this };

    const image = new NotebookImage(
      "image",
      { host, image: args.image, requirements: args.requirements, tag: stackSlug(stack) },
      child,
    );
    const shared = { host, image: host.hasPython ? undefined : image.reference };
    for (const repository of args.code) {
      new CodeRepository(`code-${repository.folder}`, { ...shared, repository }, child);
    }
    for (const dataset of args.data) {
      new Dataset(`data-${dataset.folder}`, { ...shared, dataset, connections: args.connections }, child);
    }
    const network = new docker.Network(
      "network",
      { name: stackSlug(stack), labels: lastingLabels(labels, madeBy) },
      { ...child, provider: host.provider, ...host.lifetime, ignoreChanges: LASTING },
    );
    const notebooks = args.notebooks.map(
      (notebook) =>
        new Notebook(
          notebook.name,
          { host, image, imageConfig: args.image, notebook, network, stack, labels, madeBy },
          child,
        ),
    );

    this.notebooks = pulumi.secret(pulumi.all(notebooks.map(({ info }) => info)));
    this.image = image.reference;
    this.codeFolder = pulumi.interpolate`${host.root}/code`;
    this.dataFolder = pulumi.interpolate`${host.root}/data`;
    this.accelerator = pulumi
      .all(notebooks.map(({ computesOn }) => computesOn))
      .apply((used) => [...new Set(used)].join("; "));
    this.registerOutputs({
      notebooks: this.notebooks,
      image: this.image,
      codeFolder: this.codeFolder,
      dataFolder: this.dataFolder,
      accelerator: this.accelerator,
    });
  }
}
