/** Logins at registries, as the Docker provider takes them. */
import * as pulumi from "@pulumi/pulumi";
import type { RegistryAuth } from "../../machine/docker/registry-login.ts";

/** The part of the provider's arguments that has a login; none where there is none, so that no other stack sees a change. */
export function registries(auth: RegistryAuth | undefined): { registryAuth?: pulumi.Output<RegistryAuth[]> } {
  return auth === undefined ? {} : { registryAuth: pulumi.secret([auth]) };
}
