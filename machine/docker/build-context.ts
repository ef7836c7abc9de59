import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
} from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { Readable } from "node:stream";
import ignore from "@balena/dockerignore";
import tarFs from "tar-fs";

// The types speak of a default export; what Node imports is the function itself.
const dockerignore = ignore as unknown as typeof ignore.default;

/** A build context: a folder, and the Dockerfile in it. */
export interface BuildContext {
  context: string;
  dockerfile: string;
}

/** The path of the Dockerfile from the context, as the daemon is told. */
export function dockerfileInContext({ context, dockerfile }: BuildContext): string {
  return relative(resolve(context), resolve(dockerfile));
}

/**
 * A digest of everything that makes a difference to a build: the Dockerfile, and of each file of the context that is
 * not ignored its name, mode and content; of a link, where it points.
 */
export function contextDigest(build: BuildContext): string {
  const digest = createHash("sha256");
  const add = (name: string, mode: number, content: string) =>
    digest.update(JSON.stringify([name, mode.toString(8), content]));
  add("Dockerfile", 0, fileDigest(build.dockerfile));
  for (const path of entries(build.context, ignores(build))) {
    const file = join(build.context, path);
    const stat = lstatSync(file);
    if (stat.isSymbolicLink()) add(path, stat.mode, readlinkSync(file));
    else if (stat.isFile()) add(path, stat.mode, fileDigest(file));
  }
  return digest.digest("hex");
}

/** The context as a tar stream, as root's files, and the name that the Dockerfile has in it. */
export function contextArchive(build: BuildContext): { archive: Readable; dockerfile: string } {
  const dockerfile = dockerfileInContext(build);
  // The builder needs these two, ignored or not.
  const kept = new Set([dockerfile, ".dockerignore"]);
  const ignored = ignores(build);
  const needed = Object.assign((path: string) => !kept.has(path) && ignored(path), {
    exceptions: ignored.exceptions || dockerfile.includes("/"),
  });
  // Begun when it is read, and not before somebody listens for what may go wrong with it.
  const archive = async function* () {
    const included = new Set(entries(build.context, needed));
    yield* tarFs.pack(build.context, {
      ignore: (path) => !included.has(relative(build.context, path)),
      map: (header) => ({ ...header, uid: 0, gid: 0 }),
      umask: 0,
      strict: false,
    });
  };
  return { archive: Readable.from(archive()), dockerfile };
}

interface Ignored {
  (path: string): boolean;
  /** A rule may bring back something inside an ignored folder. */
  exceptions: boolean;
}

/** Whether a path of the context is left out. */
function ignores({ context }: BuildContext): Ignored {
  const file = join(context, ".dockerignore");
  const patterns = existsSync(file) ? readFileSync(file, "utf8") : "";
  const rules = dockerignore({ ignorecase: false }).add(patterns.split("\n"));
  return Object.assign((path: string) => rules.ignores(path), { exceptions: /^\s*!/m.test(patterns) });
}

/** Every path of the folder that is not ignored, in order, and the folders above each. */
function entries(root: string, ignored: Ignored, folder = ""): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      const left = ignored(path);
      const inside = entry.isDirectory() && (!left || ignored.exceptions) ? entries(root, ignored, path) : [];
      return inside.length > 0 || !left ? [path, ...inside] : [];
    });
}

function fileDigest(file: string): string {
  const digest = createHash("sha256");
  const buffer = Buffer.allocUnsafe(1 << 20);
  const descriptor = openSync(file, "r");
  try {
    for (let read = readSync(descriptor, buffer); read > 0; read = readSync(descriptor, buffer))
      digest.update(buffer.subarray(0, read));
  } finally {
    closeSync(descriptor);
  }
  return digest.digest("hex");
}

/** What is wrong with the place of the Dockerfile, or undefined. */
export function dockerfileFault({ context, dockerfile }: BuildContext): string | undefined {
  if (!existsSync(context)) return `build context ${context} does not exist`;
  if (dockerfileInContext({ context, dockerfile }).startsWith("../"))
    return `the stand-in plugin takes no Dockerfile from outside the build context ${context}`;
  if (existsSync(dockerfile)) return undefined;
  const meant = join(context, basename(dockerfile));
  return `could not open dockerfile ${dockerfile}${existsSync(meant) ? `; try setting dockerfile to ${meant}` : ""}`;
}
