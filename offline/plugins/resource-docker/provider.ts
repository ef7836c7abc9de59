import type Docker from "dockerode";
import type { z } from "zod";
import type { Provider } from "../shared/provider.ts";
import { containerResource } from "./container.ts";
import { connect, type Logins, loginsOf, providerSchema } from "./docker.ts";
import { imageResource } from "./image.ts";
import { networkResource } from "./network.ts";
import { remoteImageResource } from "./remote-image.ts";
import { volumeResource } from "./volume.ts";

/** The stand-in for the official docker plugin. */
export function dockerProvider(): Provider {
  let client: Docker | undefined;
  let logins: Logins = [];
  const daemon = () => {
    if (client === undefined) throw new Error("the docker provider was not configured");
    return client;
  };
  return {
    name: "docker",
    version: "5.2.0",
    resources: {
      "docker:index/container:Container": containerResource(daemon),
      "docker:index/image:Image": imageResource(daemon),
      "docker:index/network:Network": networkResource(daemon),
      "docker:index/remoteImage:RemoteImage": remoteImageResource(daemon, () => logins),
      "docker:index/volume:Volume": volumeResource(daemon),
    },
    config: {
      schema: providerSchema,
      async configure(args) {
        const given = args as z.infer<typeof providerSchema>;
        logins = loginsOf(given);
        client = await connect(given);
      },
    },
  };
}
