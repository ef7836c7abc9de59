/** The engine: the Pulumi CLI, from wherever it can be had. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { UserError } from "../../errors.ts";
import type { Context } from "../context.ts";
import { withLock } from "../system/lock.mjs";
import { findProgram, isExecutable } from "../system/path.ts";
import { capture, handOver, mustRun } from "../system/run.ts";
import type { Expected } from "../system/time-left.mjs";
import { formatSeconds, say, step } from "../ui/say.ts";
import { canDownloadOfficial, downloadEnv, rememberNoDownloads } from "./official.ts";

/** From this release on Go fetches the toolchain that a go.mod asks for. */
const OLDEST_GO = [1, 21] as const;

/** How long a build takes on two cores, in seconds. */
const USUAL_BUILD: Expected = { least: 4 * 60, most: 7 * 60 };

/** The finding of how long one took on this machine. */
const BUILD_SECONDS = "seconds that the engine's build took";

/** An engine that can be run. */
export interface Engine {
  /** The program. */
  file: string;
  /** Folder to put first on PATH: it holds a `pulumi` and nothing that shadows our Node. */
  folder: string;
  /** Where it comes from: the person's PATH, the official download, or built here. */
  origin: "path" | "official" | "built";
}

/** Where an engine may be, best first. */
export interface EngineProbes {
  onPath(): string | undefined;
  /** The official download, if it is there already. */
  downloaded(): string | undefined;
  /** The one built from the Go module, if it is there already. */
  built(): string | undefined;
  canDownload(): Promise<boolean>;
}

/** What to do about the engine. */
export type EngineChoice = { use: string; origin: Engine["origin"] } | { get: "download" | "build" };

/** Decides which engine to use. Nothing is downloaded or built where one is there. */
export async function chooseEngine(probes: EngineProbes): Promise<EngineChoice> {
  const onPath = probes.onPath();
  if (onPath) return { use: onPath, origin: "path" };
  const downloaded = probes.downloaded();
  if (downloaded) return { use: downloaded, origin: "official" };
  const built = probes.built();
  if (built) return { use: built, origin: "built" };
  return { get: (await probes.canDownload()) ? "download" : "build" };
}

/** The release that everything of Pulumi's is pinned to. */
export function engineVersion(root: string): string {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8")).dependencies.pulumi;
}

/** What can be done while an engine is built. It fails silently: what it does is done again, and said, where it is needed. */
export type Meanwhile = (signal: AbortSignal) => Promise<void>;

/**
 * Makes sure that there is an engine.
 *
 * @param meanwhile what to do beside, where it has to be built
 * @throws UserError when there is none and none can be had
 */
export async function prepareEngine(context: Context, meanwhile?: Meanwhile): Promise<Engine> {
  const version = engineVersion(context.root);
  const downloaded = join(context.pulumiHome, "versions", version, "bin", "pulumi");
  const built = join(context.cache, "engine", version, "pulumi");
  const choice = await chooseEngine({
    // npm's package `pulumi` is no engine but fetches one: not wanted before it is known that it can.
    onPath: () =>
      findProgram("pulumi", context.env.PATH, (file) => !file.includes(`${sep}node_modules${sep}`)),
    downloaded: () => (isExecutable(downloaded) ? downloaded : undefined),
    built: () => (isExecutable(built) ? built : undefined),
    canDownload: () => canDownloadOfficial(context),
  });
  if ("use" in choice) return asEngine(context, choice.use, choice.origin);
  if (choice.get === "download") {
    if (await download(context, downloaded)) return asEngine(context, downloaded, "official");
    rememberNoDownloads(context);
  }
  await buildBeside(context, built, meanwhile);
  return asEngine(context, built, "built");
}

function asEngine(context: Context, file: string, origin: Engine["origin"]): Engine {
  const folder = origin === "path" ? shim(context, file) : dirname(file);
  return { file, folder, origin };
}

/** A folder with nothing but a link to the engine: the engine's own may hold another Node. */
function shim(context: Context, file: string): string {
  const folder = join(context.cache, "bin", createHash("sha256").update(file).digest("hex").slice(0, 12));
  const link = join(folder, "pulumi");
  if (existsSync(link) && realpathSync(link) === realpathSync(file)) return folder;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const next = `${link}.${process.pid}`;
  symlinkSync(file, next);
  renameSync(next, link);
  return folder;
}

/** Lets npm's package `pulumi` fetch the official engine; what it prints shows how far it is. */
async function download(context: Context, file: string): Promise<boolean> {
  say("engine: downloading the official Pulumi CLI");
  await handOver(join(context.root, "node_modules", ".bin", "pulumi"), ["version"], {
    env: downloadEnv(context),
    quietStdout: true,
  });
  if (isExecutable(file)) return true;
  say("engine: the download failed; not tried again for a day");
  return false;
}

async function buildBeside(
  context: Context,
  file: string,
  meanwhile: Meanwhile = async () => {},
): Promise<void> {
  await requireGo(context);
  const over = new AbortController();
  const beside = meanwhile(over.signal);
  try {
    await build(context, file);
  } catch (error) {
    over.abort();
    throw error;
  } finally {
    await beside;
  }
}

async function build(context: Context, file: string): Promise<void> {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  await withLock(
    `${file}.lock`,
    async () => {
      if (isExecutable(file)) return;
      const half = `${file}.${process.pid}`;
      const began = performance.now();
      const last = Number(context.memo.get(BUILD_SECONDS, Number.POSITIVE_INFINITY));
      const [words, expected] = last
        ? [`${formatSeconds(last)} the last time`, { least: last, most: last }]
        : ["4 to 7 minutes", USUAL_BUILD];
      try {
        await step(
          `engine: building Pulumi from its Go module, once (${words})`,
          () =>
            mustRun("sh", [join(context.root, "offline", "engine", "build.sh"), half], { env: context.env }),
          () => "done",
          expected,
        );
        // Renamed into place: an engine that is there is a whole one.
        renameSync(half, file);
        context.memo.set(BUILD_SECONDS, String((performance.now() - began) / 1000));
      } finally {
        rmSync(half, { force: true });
      }
    },
    (holder) => say(`engine: waiting for process ${holder}, which is building it`),
  );
}

/** Reads `go version`: `go version go1.26.8 linux/amd64` is [1, 26]. */
export function parseGoVersion(text: string): [number, number] | undefined {
  const [, major, minor] = /\bgo(\d+)\.(\d+)/.exec(text) ?? [];
  return major && minor ? [Number(major), Number(minor)] : undefined;
}

async function requireGo({ env }: Context): Promise<void> {
  const { code, stdout } = await capture("go", ["version"], { env });
  const [major, minor] = (code === 0 && parseGoVersion(stdout)) || [0, 0];
  if (major > OLDEST_GO[0] || (major === OLDEST_GO[0] && minor >= OLDEST_GO[1])) return;
  throw new UserError(
    [
      "no Pulumi engine: there is none on PATH, the official download cannot be reached, and building it needs",
      `Go ${OLDEST_GO.join(".")} or newer (${code === 0 ? `found ${stdout.trim()}` : "`go` is not there"}). Do one of these and try again:`,
      "  install Pulumi: https://www.pulumi.com/docs/iac/download-install/",
      "  install Go: https://go.dev/doc/install",
    ].join("\n"),
  );
}
