import { createInterface } from "node:readline";
import type Docker from "dockerode";
import type { Operation } from "../shared/provider.ts";
import { doing, found } from "./docker.ts";

/**
 * The image of this name, pulled when the daemon does not have it yet.
 *
 * @throws when it cannot be pulled
 */
export async function ensureImage(
  docker: Docker,
  name: string,
  { log, signal }: Pick<Operation, "log" | "signal">,
  platform = "",
): Promise<Docker.ImageInspectInfo> {
  const present = await found(docker.getImage(name).inspect());
  if (present) return present;
  const started = Date.now();
  log.info(`pulling ${name}`);
  await doing(`pulling image ${name}`, pull(docker, name, platform, log, signal));
  log.info(`pulled ${name} in ${Math.round((Date.now() - started) / 1000)} s`);
  return await doing(`pulled image ${name}`, docker.getImage(name).inspect());
}

async function pull(
  docker: Docker,
  name: string,
  platform: string,
  log: Operation["log"],
  signal: AbortSignal,
): Promise<void> {
  const progress = await docker.pull(name, { ...(platform && { platform }), abortSignal: signal });
  const layers = new Set<string>();
  const complete = new Set<string>();
  for await (const line of createInterface({ input: progress })) {
    const { id, status, error } = JSON.parse(line) as { id?: string; status?: string; error?: string };
    if (error) throw new Error(error);
    if (id && status === "Pulling fs layer") layers.add(id);
    if (!id || (status !== "Pull complete" && status !== "Already exists")) continue;
    layers.add(id);
    complete.add(id);
    log.status(`pulling ${name}: ${complete.size} of ${layers.size} layers`);
  }
}
