/** Which quick look a kind of host takes. */
import type { HostConfig } from "../../../config/host/index.ts";
import type { Look } from "./look.ts";

/** The look at a machine of a kind. Loaded by itself: the whole of a host takes longer to load than this takes in all. */
export async function lookOfKind(kind: HostConfig["kind"]): Promise<Look> {
  if (kind === "local") return (await import("./local.ts")).lookHere;
  if (kind === "ssh") return (await import("./remote.ts")).lookThere;
  return (await import("./aws.ts")).lookAtInstance;
}
