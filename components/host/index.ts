import * as pulumi from "@pulumi/pulumi";
import type { HostConfig } from "../../config/host/index.ts";
import type { RegistryAuth } from "../../machine/docker/registry-login.ts";
import type { HostNeeds } from "../../machine/facts.ts";
import { inspectLocalMachine } from "../../machine/local.ts";
import { inspectSshMachine } from "../../machine/ssh/inspect.ts";
import type { DockerHost } from "./host.ts";
import { LocalHost } from "./local.ts";
import { SshHost } from "./ssh.ts";

export type { DockerHost } from "./host.ts";

/** What `createHost` takes. */
export interface CreateHostArgs {
  host: HostConfig;
  /** Folder on the host that holds `code/` and `data/`. */
  root: string;
  /** What the stack will ask of the host. */
  needs: HostNeeds;
  /** Urls that data comes from: a machine that the stack makes is let read those of them that are its account's. */
  dataUrls: string[];
  /** The login that the image is pulled with, where there is one. */
  registryAuth?: RegistryAuth;
}

/**
 * The host a configuration asks for: the only place that tells one kind of host from another.
 *
 * @throws UserError before any resource is registered, when the host cannot serve the stack
 */
export async function createHost({
  host,
  root,
  needs,
  dataUrls,
  registryAuth,
}: CreateHostArgs): Promise<DockerHost> {
  const shared = { root, owner: needs.holdings?.owner, registryAuth };
  switch (host.kind) {
    case "local":
      return new LocalHost("local", {
        ...shared,
        machine: await inspectLocalMachine(needs, root, (message) => pulumi.log.warn(message)),
      });
    case "ssh": {
      const { kind: _, ...connection } = host;
      const machine = await inspectSshMachine(connection, root, needs);
      return new SshHost("ssh", {
        ...shared,
        connection,
        stack: needs.stack,
        machine,
        hasPython: machine.hasPython,
      });
    }
    case "aws": {
      // Nobody else has to load what speaks to AWS.
      const { createAwsHost } = await import("./aws.ts");
      return await createAwsHost("aws", { ...shared, host, dataUrls, stack: needs.stack });
    }
  }
}
