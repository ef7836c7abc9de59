/**
 * The image of a stack on this machine, begun while the engine is still built: what the engine's plugin is going to ask the daemon for
 * is asked for ahead, so that the plugin finds it there. Nothing depends on it: where it fails, the plugin's own turn says why.
 */
import { join } from "node:path";
import { type ChosenImage, requirementsOf, stageAndArgs } from "../../config/image.ts";
import { askDocker, dockerClient } from "../../machine/docker/api.ts";
import { dockerEndpoint } from "../../machine/docker/endpoint.ts";
import { buildImage } from "../../machine/docker/image-build.ts";
import { registryLogin } from "../../machine/docker/registry-login.ts";
import { architecture } from "../../machine/inspection.ts";
import type { Context } from "../context.ts";
import { step } from "../ui/say.ts";
import { StepCount } from "../ui/step-count.ts";
import { dockerfileBase, neededBase, prepareBaseImage } from "./base-image.ts";

/** What gets a stack's image ready. Each throws where it cannot be done. */
export interface Parts {
  base(): Promise<void>;
  build(tell: (detail: string) => void): Promise<void>;
  pull(): Promise<void>;
}

/**
 * Gets an image into the daemon's cache, or pulls it. Never throws.
 *
 * @param stack its short name
 * @param signal that ends it
 */
export async function prepareImage(
  context: Context,
  stack: string,
  image: ChosenImage,
  signal: AbortSignal,
  parts: Parts = partsOf(context, stack, image, signal),
): Promise<void> {
  try {
    if ("pull" in image) return await step(`image: pulling ${image.pull} meanwhile`, parts.pull);
    await parts.base();
    if (signal.aborted) return;
    await step("image: building it meanwhile", parts.build);
  } catch {
    // Asked for again once it is needed, where a failure is told with its reason.
  }
}

function partsOf(context: Context, stack: string, image: ChosenImage, signal: AbortSignal): Parts {
  const host = () => dockerEndpoint(context.env).host;
  const platform = async () => {
    const info = await askDocker<{ Architecture: string }>(host(), "/info");
    return `linux/${architecture(info?.Architecture ?? "")}`;
  };
  return {
    async base() {
      const base = neededBase(image, () => dockerfileBase(context.root));
      // A password is not asked for amid what else is shown.
      if (base) await prepareBaseImage({ ...context, interactive: false }, host(), base);
    },
    async build(tell) {
      if ("pull" in image) return;
      const folder = join(context.root, "docker");
      const build = {
        context: folder,
        dockerfile: join(folder, "Dockerfile"),
        platform: await platform(),
        ...stageAndArgs(image, requirementsOf(image, stack)),
      };
      const count = new StepCount();
      const why = await buildImage(dockerClient(host()), build, "cache", signal, (status) => {
        count.add(status);
        tell(count.text);
      });
      if (why !== undefined) throw new Error(why);
    },
    async pull() {
      if (!("pull" in image)) return;
      const { auth } = await registryLogin(image, context.env);
      const authconfig = auth && { ...auth, serveraddress: auth.address };
      const docker = dockerClient(host());
      const answer = await docker.pull(image.pull, {
        platform: await platform(),
        abortSignal: signal,
        ...(authconfig && { authconfig }),
      });
      await new Promise<void>((resolve, reject) => {
        docker.modem.followProgress(answer, (error) => (error ? reject(error) : resolve()));
      });
    },
  };
}
