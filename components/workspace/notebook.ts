import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import type { ImageConfig, NotebookConfig } from "../../config/schema.ts";
import { UserError } from "../../errors.ts";
import { ownFolderProblem, volumeWarning } from "../../machine/checks/volumes.ts";
import { addressForPerson, addressOnHost, homeVolume, isLoopback } from "../../machine/names.ts";
import type { NotebookInfo } from "../../machine/outputs.ts";
import { NOTEBOOK_LABEL } from "../../machine/owner.ts";
import type { DockerHost } from "../host/host.ts";
import {
  binds,
  constants,
  environment,
  foldersToProve,
  HOME,
  identity,
  LASTING,
  labelList,
  lastingLabels,
  startUp,
  unappliedLabel,
} from "./container.ts";
import { gpuRequest } from "./gpu.ts";
import type { NotebookImage } from "./image.ts";
import { removeVolume } from "./removal.ts";

/** What a `Notebook` is made from. */
export interface NotebookArgs {
  host: DockerHost;
  image: NotebookImage;
  /** What the configuration says of the image. */
  imageConfig: ImageConfig;
  notebook: NotebookConfig;
  /** Network that the notebooks of the stack share. */
  network: docker.Network;
  /** `<project>/<stack>`. */
  stack: string;
  /** On everything that the stack has. */
  labels: Record<string, pulumi.Input<string>>;
  /** Who makes it, and where the state is, in words. */
  madeBy: string;
}

/** How long Jupyter may take to answer once its container has started, in seconds. */
const START_TIMEOUT = 180;

/** How long a file in each folder may take, in seconds: disks of other machines are waited for. */
const WRITE_TIMEOUT = 60;

/** How long the first matrices may take on a GPU, in seconds: PyTorch is read from the disk, and the driver wakes up. */
const PROOF_TIMEOUT = 180;

/** How long it may take to look over the packages that a person installed, in seconds. */
const PACKAGES_TIMEOUT = 60;

/** One Jupyter server in a container, with the GPUs, the port and the folders it was given. */
export class Notebook extends pulumi.ComponentResource {
  /** Known once Jupyter answers, its folders can be written to, and the GPU, where there is one, has computed something; a secret. */
  readonly info: pulumi.Output<NotebookInfo>;
  /** What it computes on: "CPU", or its GPUs. */
  readonly accelerator: pulumi.Output<string>;
  /** The same, and where it fell back to the CPU, why: "CPU (no NVIDIA driver on this host)". */
  readonly computesOn: pulumi.Output<string>;

  constructor(name: string, args: NotebookArgs, opts?: pulumi.ComponentResourceOptions) {
    super("gpubox:workspace:Notebook", name, {}, opts);
    const { host, image, imageConfig, notebook, stack } = args;
    const { port, address } = notebook;
    const onHost = { parent: this, provider: host.provider, ...host.lifetime };
    const labels = { ...args.labels, [NOTEBOOK_LABEL]: notebook.name };

    const gpus = host.gpus.apply((inventory) => gpuRequest(notebook.name, notebook.gpus, inventory));
    this.accelerator = gpus.apply(({ accelerator }) => accelerator);
    this.computesOn = gpus.apply(({ fallback }) =>
      fallback ? pulumi.interpolate`${this.accelerator} (${fallback.reason})` : this.accelerator,
    );
    gpus.apply(({ fallback }) => fallback && pulumi.log.warn(fallback.warning, this));
    if (!isLoopback(address)) {
      pulumi.log.warn(
        `${notebook.name} listens on ${address}: anyone who can reach that address needs only the token`,
        this,
      );
    }

    host.home.apply((home) => {
      for (const mounted of notebook.volumes) {
        const warning = volumeWarning(notebook.name, mounted, home);
        if (warning) pulumi.log.warn(warning, this);
      }
    });

    // Not RandomBytes: its id is the bytes themselves, and ids are neither encrypted in the state nor hidden.
    const token = new random.RandomPassword(`${name}-token`, { length: 40, special: false }, { parent: this })
      .result;

    // Settings, shell history and the like outlive a container and go with the stack.
    const volume = homeVolume(stack, notebook.name, imageConfig);
    const home =
      volume === undefined
        ? undefined
        : new docker.Volume(
            `${name}-home`,
            { name: volume, labels: lastingLabels(labels, args.madeBy) },
            // A replacement would take along what is in it.
            { ...onHost, ignoreChanges: LASTING, retainOnDelete: true },
          );
    const removal = volume === undefined ? [] : [removeVolume(name, { host, volume }, { parent: this })];

    // The image of docker/ has a folder there that anybody may write to, and so has a volume that is mounted on it.
    const owned =
      home === undefined || !("pull" in imageConfig)
        ? []
        : [
            host.run(
              `${name}-home-owner`,
              {
                script: "own-home.sh",
                environment: {
                  VOLUME: home.name,
                  HOME_IN: HOME,
                  IMAGE: image.id,
                  RUNS_AS: host.runsAs.apply(({ user }) => user),
                  USERNS: host.runsAs.apply(({ usernsMode }) => usernsMode ?? ""),
                  OWNER: host.owner,
                  STACK: stack,
                },
              },
              { parent: this },
            ).resource,
          ];

    const mounts = pulumi.all([host.root, host.home]).apply(([root, home]) => mountsOf(notebook, root, home));
    const container = new docker.Container(
      `${name}-container`,
      {
        ...constants,
        ...identity(imageConfig, host.runsAs),
        name: notebook.name,
        hostname: notebook.name,
        image: image.id,
        ...startUp(imageConfig, notebook),
        workingDir: "/code",
        envs: pulumi.secret(
          pulumi
            .all([this.accelerator, token])
            .apply(([accelerator, secret]) => environment(notebook, imageConfig, accelerator, secret)),
        ),
        ports: [{ internal: port, external: port, ip: address, protocol: "tcp" }],
        mounts,
        volumes: home && [{ volumeName: home.name, containerPath: HOME }],
        networksAdvanced: [{ name: args.network.name }],
        gpus: gpus.apply(({ devices }) => devices.gpus),
        deviceRequests: gpus.apply(({ devices }) => devices.deviceRequests),
        shmSize: notebook.shmSize,
        memory: notebook.memory,
        // Set beside `memory`, or the provider sees a change at every run.
        memorySwap: notebook.memory,
        labels: mounts.apply((folders) => [...labelList(labels), unappliedLabel(folders, notebook)]),
      },
      // The name and the port must be free before the next container can have them.
      { ...onHost, deleteBeforeReplace: true, dependsOn: [...removal, ...owned] },
    );

    const ready = host.run(
      `${name}-ready`,
      {
        script: "wait-for-notebook.sh",
        environment: {
          URL: `http://${addressOnHost(address)}:${port}`,
          CONTAINER: notebook.name,
          TIMEOUT: String(START_TIMEOUT),
        },
        triggers: [container.id],
      },
      { parent: this },
    );

    const folders = foldersToProve(imageConfig, notebook);
    const writable = host.run(
      `${name}-folders`,
      {
        script: "prove-folders.sh",
        environment: {
          CONTAINER: notebook.name,
          FOLDERS: folders.needed.join("\n"),
          VOLUMES: folders.further.join("\n"),
          TIMEOUT: String(WRITE_TIMEOUT),
        },
        triggers: [container.id],
      },
      { parent: this, dependsOn: [ready.resource] },
    );

    const packages =
      "pull" in imageConfig
        ? ready
        : host.run(
            `${name}-packages`,
            {
              script: "look-over-packages.sh",
              environment: {
                CONTAINER: notebook.name,
                COMMAND: host.dockerCommand(`exec ${notebook.name}`),
                TIMEOUT: String(PACKAGES_TIMEOUT),
              },
              triggers: [container.id],
            },
            { parent: this, dependsOn: [ready.resource] },
          );

    const proof =
      notebook.gpus === "none"
        ? ready
        : host.run(
            `${name}-gpu`,
            {
              script: "prove-gpu.sh",
              environment: {
                CONTAINER: notebook.name,
                ACCELERATOR: this.accelerator,
                TIMEOUT: String(PROOF_TIMEOUT),
              },
              triggers: [container.id],
            },
            { parent: this, dependsOn: [ready.resource] },
          );

    this.info = pulumi.secret(
      pulumi
        .all([
          this.accelerator,
          token,
          host.address,
          host.dockerCommand(`exec -it ${notebook.name} bash`),
          host.dockerCommand(`logs -f ${notebook.name}`),
          // Not before all of this is seen.
          pulumi.all([ready.result, writable.result, packages.result, proof.result]),
        ])
        .apply(([accelerator, secret, hostAddress, shell, logs]) => ({
          name: notebook.name,
          url: `http://${addressForPerson(address, hostAddress)}:${port}/?token=${secret}`,
          gpus: accelerator,
          port,
          shell,
          logs,
        })),
    );
    this.registerOutputs({ info: this.info });
  }
}

/** What the container has of the host. @throws UserError where a volume is one that it has already */
export function mountsOf(notebook: NotebookConfig, root: string, home?: string) {
  const [problem] = notebook.volumes.flatMap((mounted) => ownFolderProblem(mounted, root, home) ?? []);
  if (problem) throw new UserError(`a volume of ${notebook.name}: ${problem}`);
  return binds(root, notebook);
}
