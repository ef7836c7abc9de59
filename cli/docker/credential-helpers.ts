/** The programs that Docker's clients ask for the passwords of registries, by what Docker's configuration names. */

import type { ImageConfig } from "../../config/schema.ts";
import { type Check, check } from "../../machine/checks/check.ts";
import {
  type DockerConfig,
  helperOf,
  missingHelper,
  readDockerConfig,
  registryOf,
} from "../../machine/docker/registry-login.ts";
import { findProgram } from "../system/path.ts";
import type { Env } from "../system/run.ts";

/** Names of the helpers that are asked for an image: for one that is pulled its registry's, for one that is built all of them. */
export function helpersFor(image: ImageConfig, config: DockerConfig): string[] {
  const named =
    "pull" in image
      ? [helperOf(registryOf(image.pull), config)]
      : [config.credsStore, ...Object.values(config.credHelpers ?? {})];
  return [...new Set(named.filter((helper) => typeof helper === "string" && helper !== ""))] as string[];
}

/** Whether the helpers are there; no check where none is named. A stand-in does without, so none keeps a stack from coming up. */
export function credentialChecks(image: ImageConfig, env: Env): Check[] {
  return helpersFor(image, readDockerConfig(env)).map((helper) => {
    const program = `docker-credential-${helper}`;
    const isThere = findProgram(program, env.PATH) !== undefined;
    return check(
      "passwords of registries",
      { found: isThere ? program : `no ${program}`, needed: program },
      isThere ? undefined : `gpubox:image: ${missingHelper(helper)}`,
      "warn",
    );
  });
}
