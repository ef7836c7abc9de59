import { isDeepStrictEqual } from "node:util";
import type Docker from "dockerode";
import {
  contextDigest,
  dockerfileFault,
  dockerfileInContext,
} from "../../../machine/docker/build-context.ts";
import { buildImage, type ImageBuild } from "../../../machine/docker/image-build.ts";
import type { Change } from "../shared/diff.ts";
import type { Operation, Resource } from "../shared/provider.ts";
import { hasUnknown, isObject, type Properties, secret, type Value } from "../shared/values.ts";
import { BuildLog, TICK } from "./build-log.ts";
import { doing } from "./docker.ts";
import type { Daemon } from "./resource.ts";
import { always, block, flag, map, type Table, tableSchema, text } from "./table.ts";

/** The properties of docker.Image. */
export const imageTable = {
  imageName: text({ required: true }),
  skipPush: always(true),
  // The SDK fills it in.
  buildOnPreview: flag(),
  build: block(
    {
      context: text({ required: true }),
      dockerfile: text({ required: true }),
      target: text(),
      platform: text({ required: true }),
      args: map(),
      builderVersion: always("BuilderBuildKit"),
    },
    { required: true },
  ),
} as const satisfies Table;

interface ImageInputs {
  imageName: string;
  build: ImageBuild;
}

/**
 * docker.Image: an image that the daemon's own BuildKit builds. A changed context is an update in place, delete
 * leaves the image behind, and that it was removed by hand is not noticed: all as in the official plugin.
 */
export function imageResource(daemon: Daemon): Resource {
  const make = async (inputs: Properties, operation: Operation): Promise<Properties> => {
    const complete = completed(inputs);
    if (operation.preview) return complete;
    return {
      ...(await build(daemon(), complete as unknown as ImageInputs, operation)),
      __inputs: secret(complete),
    };
  };
  return {
    schema: tableSchema(imageTable),
    check(inputs) {
      const { build: given } = inputs;
      const fault = isObject(given) && known(given) ? dockerfileFault(given) : undefined;
      return [
        ...(fault ? [{ property: "build.dockerfile", reason: fault }] : []),
        ...(inputs.buildOnPreview
          ? [{ property: "buildOnPreview", reason: "must be false: the stand-in plugin builds in up alone" }]
          : []),
      ];
    },
    // The inputs of the last build: what its context was then is in there.
    diff: (state, _, news) => inputDiff(isObject(state.__inputs) ? state.__inputs : {}, completed(news)),
    create: async (inputs, operation) => ({
      id: operation.preview ? "" : String(inputs.imageName),
      outputs: await make(inputs, operation),
    }),
    update: (_id, _state, inputs, operation) => make(inputs, operation),
  };
}

/** The inputs with the digest of the context they name. */
function completed(inputs: Properties): Properties {
  const { build } = inputs;
  if (!isObject(build) || !known(build) || dockerfileFault(build) !== undefined) return inputs;
  return { ...inputs, build: { ...build, contextDigest: contextDigest(build) } };
}

function known(build: Properties): build is Properties & { context: string; dockerfile: string } {
  return !hasUnknown(build.context) && !hasUnknown(build.dockerfile);
}

function inputDiff(olds: Properties, news: Properties) {
  const changes = new Map<string, Change>();
  for (const name of new Set([...Object.keys(olds), ...Object.keys(news)])) {
    const [old, now]: (Value | undefined)[] = [olds[name], news[name]];
    if (!isDeepStrictEqual(old, now))
      changes.set(name, old == null ? "add" : now == null ? "delete" : "update");
  }
  return { changes, replaces: [] };
}

async function build(
  docker: Docker,
  { imageName, build }: ImageInputs,
  { log, signal }: Operation,
): Promise<Properties> {
  const steps = new BuildLog(log);
  const ticker = setInterval(() => steps.tick(), TICK);
  try {
    const why = await doing(
      `building image ${imageName}`,
      buildImage(docker, build, { name: imageName }, signal, (status) => steps.add(status)),
    );
    if (why !== undefined)
      throw new Error(
        `building image ${imageName} from ${build.dockerfile}: ${why}\n${steps.failure ?? ""}`.trim(),
      );
  } finally {
    clearInterval(ticker);
  }
  const { Id } = await doing(`built image ${imageName}`, docker.getImage(imageName).inspect());
  return {
    baseImageName: imageName,
    context: build.context,
    dockerfile: dockerfileInContext(build),
    imageName,
    platform: build.platform,
    registryServer: "",
    // Of an image that is not pushed, its id: what a container needs to be replaced by a rebuild.
    repoDigest: Id,
  };
}
