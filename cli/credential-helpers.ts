/** The programs that Docker's clients ask for the passwords of registries, by what Docker's configuration names. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { type Check, check } from "../components/host/check.ts";
import type { ImageConfig } from "../config.ts";
import { missingHelper } from "./foreign-errors.ts";
import { findProgram } from "./path.ts";
import type { Env } from "./run.ts";

/** The part of Docker's config.json that is read here. */
interface DockerConfig {
  credsStore?: string;
  /** By registry. */
  credHelpers?: Record<string, string>;
}

const DOCKER_HUB = "docker.io";

/** The registry of an image, by Docker's rule: the first part is one where it looks like a host. */
export function registryOf(reference: string): string {
  const [first = "", ...rest] = reference.split("/");
  return rest.length > 0 && (/[.:]/.test(first) || first === "localhost") ? first : DOCKER_HUB;
}

/** Names of the helpers that are asked for an image: for one that is pulled its registry's, for one that is built all of them. */
export function helpersFor(image: ImageConfig, { credsStore, credHelpers = {} }: DockerConfig): string[] {
  const named =
    "pull" in image
      ? [credHelpers[registryOf(image.pull)] ?? credsStore]
      : [credsStore, ...Object.values(credHelpers)];
  return [...new Set(named.filter((helper) => typeof helper === "string" && helper !== ""))] as string[];
}

/** Whether the helpers are there; no check where none is named. A stand-in does without, so none keeps a stack from coming up. */
export function credentialChecks(image: ImageConfig, env: Env): Check[] {
  const folder = env.DOCKER_CONFIG || join(env.HOME || homedir(), ".docker");
  return helpersFor(image, readConfig(join(folder, "config.json"))).map((helper) => {
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

function readConfig(file: string): DockerConfig {
  try {
    return JSON.parse(readFileSync(file, "utf8")) ?? {};
  } catch {
    return {};
  }
}
