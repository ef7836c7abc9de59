import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { stageAndArgs } from "../../config/image.ts";
import type { ImageConfig } from "../../config/schema.ts";
import type { DockerHost } from "../host/host.ts";

/** What a `NotebookImage` is made from. */
export interface NotebookImageArgs {
  host: DockerHost;
  image: ImageConfig;
  /** Lines of the requirements file that the configuration names. */
  requirements: string[];
  /** Repository and tag of the image that is built; unused where one is pulled. */
  tag: string;
}

/** The image of the notebooks on the host: built from `docker/`, or pulled. Deleting it leaves the image. */
export class NotebookImage extends pulumi.ComponentResource {
  /** Id of the image: another one when its contents change, so that containers follow. */
  readonly id: pulumi.Output<string>;
  /** Name of the image, for people. */
  readonly reference: pulumi.Output<string>;

  constructor(name: string, args: NotebookImageArgs, opts?: pulumi.ComponentResourceOptions) {
    super("gpubox:workspace:NotebookImage", name, {}, opts);
    const { host, image } = args;
    const onHost = { parent: this, provider: host.provider, ...host.lifetime };
    if ("pull" in image) {
      const pulled = new docker.RemoteImage(
        `${name}-pull`,
        { name: image.pull, keepLocally: true, platform: host.platform },
        onHost,
      );
      this.id = pulled.imageId;
      this.reference = pulled.name;
    } else {
      const built = new docker.Image(
        `${name}-build`,
        {
          imageName: args.tag,
          skipPush: true,
          build: {
            // The engine's plugins work in the folder of the program's first file.
            context: "../docker",
            dockerfile: "../docker/Dockerfile",
            ...stageAndArgs(image, args.requirements),
            platform: host.platform,
            builderVersion: "BuilderBuildKit",
          },
        },
        onHost,
      );
      // Nothing is pushed, so there is no registry digest: the provider gives the image's id in its place.
      this.id = built.repoDigest;
      this.reference = built.imageName;
    }
    this.registerOutputs({ id: this.id });
  }
}
