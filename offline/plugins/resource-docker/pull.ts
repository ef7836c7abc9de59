import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type Docker from "dockerode";
import type { Operation } from "../shared/provider.ts";
import { TICK } from "./build-log.ts";
import { doing, found, type Logins } from "./docker.ts";

/** How an image is pulled. */
interface PullOptions {
  platform?: string;
  login?: Logins[number];
}

/**
 * The image of this name, pulled when the daemon does not have it yet.
 *
 * @throws when it cannot be pulled
 */
export async function ensureImage(
  docker: Docker,
  name: string,
  { log, signal }: Pick<Operation, "log" | "signal">,
  how: PullOptions = {},
): Promise<Docker.ImageInspectInfo> {
  const present = await found(docker.getImage(name).inspect());
  if (present) return present;
  const started = Date.now();
  log.info(`pulling ${name}`);
  await doing(`pulling image ${name}`, pull(docker, name, how, log, signal));
  log.info(`pulled ${name} in ${Math.round((Date.now() - started) / 1000)} s`);
  return await doing(`pulled image ${name}`, docker.getImage(name).inspect());
}

async function pull(
  docker: Docker,
  name: string,
  { platform, login }: PullOptions,
  log: Operation["log"],
  signal: AbortSignal,
): Promise<void> {
  // Apart from the options, which the client puts into the URL.
  const auth = login && { username: login.username, password: login.password, serveraddress: login.address };
  const options = { ...(platform && { platform }), abortSignal: signal };
  const answer = await (docker.pull(name, options, undefined as never, auth) as unknown as Promise<Readable>);
  const progress = new PullProgress();
  const ticker = setInterval(() => log.info(`pulling ${name}: ${progress.text()}`), TICK);
  try {
    for await (const line of createInterface({ input: answer })) {
      const message = JSON.parse(line) as PullMessage & { error?: string };
      if (message.error) throw new Error(message.error);
      if (progress.add(message)) log.status(`pulling ${name}: ${progress.text()}`);
    }
  } finally {
    clearInterval(ticker);
  }
}

/** A line of the daemon's answer, as far as it is about a layer. */
export interface PullMessage {
  id?: string;
  status?: string;
  /** In bytes. */
  progressDetail?: { current?: number; total?: number };
}

/** Adds up how far the layers of an image are. */
export class PullProgress {
  readonly #layers = new Map<string, { done: boolean; current: number; total: number }>();
  readonly #began = Date.now();

  /** @returns whether something has changed that `text` says */
  add({ id, status, progressDetail: { current = 0, total = 0 } = {} }: PullMessage): boolean {
    const done = status === "Pull complete" || status === "Already exists";
    const downloading = status === "Downloading";
    if (!id || !(done || downloading || status === "Pulling fs layer" || status === "Download complete")) {
      return false;
    }
    const layer = this.#layers.get(id) ?? { done: false, current: 0, total: 0 };
    this.#layers.set(id, layer);
    layer.done ||= done;
    if (downloading) Object.assign(layer, { current, total });
    // What is unpacked next is counted by a total of its own.
    if (status === "Download complete") layer.current = layer.total;
    return true;
  }

  /** `3 of 12 layers, 120 of 340 MB, 14 MB/s`; sizes are known only of layers whose download has begun. */
  text(now: number = Date.now()): string {
    const layers = [...this.#layers.values()];
    const sum = (of: "current" | "total") => layers.reduce((all, layer) => all + layer[of], 0) / 1e6;
    const count = `${layers.filter(({ done }) => done).length} of ${layers.length} layers`;
    if (sum("total") === 0) return count;
    const rate = sum("current") / Math.max((now - this.#began) / 1000, 1);
    return `${count}, ${sum("current").toFixed(0)} of ${sum("total").toFixed(0)} MB, ${rate.toFixed(1)} MB/s`;
  }
}
