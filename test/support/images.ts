/**
 * Docker data folders with what the tests would otherwise build again and again: made once for what they are made from, kept
 * in the cache folder, and copied for each daemon that starts with them.
 *
 * - `lab`: the base image of docker/Dockerfile, and a build cache with all that its target `lab` is built of
 * - `machine`: the same, and the image of the tests' AWS machines
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type Docker from "dockerode";
import { execa } from "execa";
import tar from "tar-fs";
import { createContext, ROOT } from "../../cli/context.ts";
import { dockerfileBase, prepareBaseImage } from "../../cli/docker/base-image.ts";
import { withLock } from "../../cli/system/lock.mjs";
import { contextArchive, contextDigest } from "../../machine/docker/build-context.ts";
import { dropOlder } from "../../scripts/cache.ts";
import { type Daemon, startDaemon } from "./daemon.ts";
import { runInLane } from "./lane.ts";

export type ImageSet = "lab" | "machine";

/** Image of a machine of the tests' cloud. */
export const MACHINE_IMAGE = "gpubox-test-machine";

const LAB_IMAGE = "gpubox-test-lab";

const recipe = fileURLToPath(new URL("../aws/machine", import.meta.url));
const base = join(ROOT, "offline", "base-image", "make.sh");
const build = { context: join(ROOT, "docker"), dockerfile: join(ROOT, "docker", "Dockerfile") };

/** The folder of all sets: another one whenever something changes that they are made from. */
async function imagesFolder(): Promise<string> {
  const { stdout: version } = await execa("dockerd", ["--version"]);
  const hash = createHash("sha256").update(version).update(contextDigest(build));
  const files = readdirSync(recipe).map((name) => join(recipe, name));
  for (const file of [base, fileURLToPath(import.meta.url), ...files.sort()])
    hash.update(file.slice(ROOT.length)).update(readFileSync(file));
  return join(createContext().cache, `test-images-${hash.digest("hex").slice(0, 12)}`);
}

/**
 * Makes the sets where they are not there yet, on a daemon in a lane.
 *
 * @param work folder to make them in; its path must be short, as sockets are made in it (107 bytes at most)
 */
export async function prepareImages(work: string, env: NodeJS.ProcessEnv): Promise<void> {
  const folder = await imagesFolder();
  const { cache } = createContext();
  mkdirSync(cache, { recursive: true });
  // One run at a time: the others find what it made.
  await withLock(`${folder}.lock`, async () => {
    if (existsSync(folder)) return;
    if ((await runInLane(process.execPath, [fileURLToPath(import.meta.url), work], env)) !== 0)
      throw new Error("the images that the tests start with could not be made: the reason is above");
    await dropOlder(cache, /^test-images-[0-9a-f]+(\.part)?$/);
    await execa("mv", [work, `${folder}.part`]);
    // Renamed into place: sets that are there are whole.
    renameSync(`${folder}.part`, folder);
  });
}

/** Lays out a set where a daemon that was never started is to have its data. */
export async function copyImages(set: ImageSet, data: string): Promise<void> {
  await copyData(join(await imagesFolder(), set), data);
}

/**
 * Copies a daemon's data, but for the contents of layers, which are never written to: they are the same files, where that can be,
 * since a copy takes as long as building them anew.
 */
async function copyData(from: string, to: string): Promise<void> {
  mkdirSync(to, { mode: 0o711 });
  for (const name of readdirSync(from)) {
    const copy = (how: string) => execa("cp", [how, join(from, name), join(to, name)]);
    if (name !== "overlay2") await copy("-a");
    else
      await copy("-al").catch(() => {
        rmSync(join(to, name), { recursive: true, force: true });
        return copy("-a");
      });
  }
}

/** Makes both sets below a folder; run in a lane. */
async function makeImages(folder: string): Promise<void> {
  const context = createContext();
  const set = async (name: ImageSet, make: (daemon: Daemon) => Promise<void>) => {
    const place = join(folder, "daemon");
    mkdirSync(place, { recursive: true });
    if (name === "machine") await copyData(join(folder, "lab"), join(place, "data"));
    const daemon = await startDaemon({ folder: place });
    await make(daemon);
    await daemon.end();
    // What a daemon has of its own: each copy makes it anew.
    for (const own of ["network", "engine-id"])
      rmSync(join(place, "data", own), { recursive: true, force: true });
    renameSync(join(place, "data"), join(folder, name));
    rmSync(place, { recursive: true, force: true });
  };
  await set("lab", async ({ host, client }) => {
    await prepareBaseImage(context, host, dockerfileBase(ROOT));
    await buildImage(client, build.context, LAB_IMAGE);
    // Its layers stay in the build cache; a name of its own would keep a stack's image from being removed with the stack's.
    await client.getImage(LAB_IMAGE).remove();
    // Downloads that a later build could use: the one thing in a layer's place that is written to.
    const mounts = ["--all", "--force", "--filter", "type=exec.cachemount"];
    await execa("docker", ["builder", "prune", ...mounts], { env: { DOCKER_HOST: host } });
  });
  await set("machine", async ({ client }) => {
    // Without BuildKit, which would want a session with a client.
    const options = { t: MACHINE_IMAGE, buildargs: { BASE: dockerfileBase(ROOT) } };
    const answer = await client.buildImage(tar.pack(recipe, {}), options);
    await new Promise<void>((resolve, reject) => {
      client.modem.followProgress(answer, (error) => (error ? reject(error) : resolve()));
    });
  });
}

/** Builds the target `lab` of a folder like `docker/` as a stack does. @throws Error with what the daemon said */
export async function buildImage(client: Docker, context: string, tag: string): Promise<void> {
  const { archive, dockerfile } = contextArchive({ context, dockerfile: join(context, "Dockerfile") });
  const answer = await client.buildImage(archive, { version: "2", t: tag, dockerfile, target: "lab" });
  for await (const line of createInterface({ input: answer })) {
    const { error } = JSON.parse(line) as { error?: string };
    if (error) throw new Error(`building ${context}: ${error}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await makeImages(process.argv[2] as string);
