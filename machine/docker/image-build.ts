/** Having a daemon build an image: the same question whoever asks it, so that the one finds in the daemon's cache what the other has built. */
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import type Docker from "dockerode";
import protobuf from "protobufjs";
import { type BuildContext, contextArchive } from "./build-context.ts";

/** What an image is built from. */
export interface ImageBuild extends BuildContext {
  platform: string;
  target?: string | undefined;
  args?: Record<string, string> | undefined;
}

/** A step of a build, each time something about it changes. */
interface Vertex {
  digest: string;
  name: string;
  cached: boolean;
  started?: Timestamp | null;
  completed?: Timestamp | null;
  error: string;
}

interface Timestamp {
  seconds: number;
  nanos: number;
}

/** What BuildKit reports: which steps changed, and what they printed. */
export interface BuildStatus {
  vertexes: Vertex[];
  logs: { vertex: string; msg: Uint8Array }[];
}

/** Where a build's result goes: an image of that name, or nowhere but the daemon's build cache. */
export type Result = { name: string } | "cache";

/**
 * Has the daemon's own BuildKit build an image.
 *
 * @param onStatus is told how it goes
 * @returns why it failed, by the daemon's word, if it did
 * @throws what the client does where the daemon does not take the question
 */
export async function buildImage(
  docker: Docker,
  build: ImageBuild,
  result: Result,
  signal: AbortSignal,
  onStatus: (status: BuildStatus) => void,
): Promise<string | undefined> {
  const { archive, dockerfile } = contextArchive(build);
  const answer = await docker.buildImage(archive, {
    version: "2",
    ...(result === "cache" ? { outputs: JSON.stringify([{ Type: "cacheonly" }]) } : { t: result.name }),
    dockerfile,
    platform: build.platform,
    abortSignal: signal,
    ...(build.target && { target: build.target }),
    ...(build.args && { buildargs: build.args }),
  });
  for await (const line of createInterface({ input: answer })) {
    const message = JSON.parse(line) as { id?: string; aux?: unknown; error?: string };
    if (message.id === "moby.buildkit.trace") onStatus(decodeStatus(String(message.aux)));
    if (message.error) return message.error;
  }
  return undefined;
}

let statusType: protobuf.Type | undefined;

/** Decodes a status as it comes in the daemon's answer: a message in base64. */
export function decodeStatus(encoded: string): BuildStatus {
  const { resolve } = createRequire(import.meta.url);
  statusType ??= protobuf
    .loadSync(resolve("dockerode/lib/proto/buildkit_status.proto"))
    .lookupType("moby.buildkit.v1.StatusResponse");
  const message = statusType.decode(Buffer.from(encoded, "base64"));
  return statusType.toObject(message, { longs: Number, defaults: true }) as BuildStatus;
}
