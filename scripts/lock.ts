/** `npm run lock`: renews the project's locks of Python packages. */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Args, Misuse } from "../cli/args.ts";
import { type Context, ensureFolder } from "../cli/context.ts";
import { findProgram } from "../cli/system/path.ts";
import { capture } from "../cli/system/run.ts";
import { say, step } from "../cli/ui/say.ts";
import { UserError } from "../errors.ts";

/** A lock: `NAME.txt`, made of what `NAME.in` asks for. */
interface Lock {
  folder: string;
  /** Another lock, whose versions it takes over. */
  after?: string;
}

/** Every lock, in the order in which they are made. */
const LOCKS: Record<string, Lock> = {
  "requirements-uv": { folder: "docker" },
  "requirements-lab": { folder: "docker" },
  requirements: { folder: "docker", after: "requirements-lab" },
  moto: { folder: join("test", "support") },
};

export async function lock(context: Context, { names, options }: Args): Promise<number> {
  const unknown = names.find((name) => !Object.hasOwn(LOCKS, name));
  if (unknown !== undefined)
    throw new Misuse(`there is no lock ${unknown}: there are ${Object.keys(LOCKS).join(", ")}`);
  const uv = await findUv(context);
  for (const [name, { folder, after }] of Object.entries(LOCKS)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const cwd = join(context.root, folder);
    const file = join(cwd, `${name}.txt`);
    const before = existsSync(file) ? readFileSync(file, "utf8") : "";
    const what = `${folder}/${name}.txt: resolving`;
    await step(
      what,
      async () => {
        const { code, stderr } = await capture(uv, compileArgs(name, after, options.upgrade === true), {
          env: context.env,
          cwd,
        });
        // It is written as a whole, and only once it is resolved.
        if (code !== 0)
          throw new UserError(
            `${folder}/${name}.in cannot be locked, and nothing was changed:\n${stderr.trim()}`,
          );
        return changes(before, readFileSync(file, "utf8"));
      },
      (lines) => (lines.length === 0 ? "unchanged" : lines.join(", ")),
    );
  }
  return 0;
}

function compileArgs(name: string, after: string | undefined, upgrade: boolean): string[] {
  return [
    ...["pip", "compile", "--quiet", "--generate-hashes", "--universal", "--python-version", "3.11"],
    ...["--no-annotate", "--no-emit-index-url", "--custom-compile-command", "npm run lock"],
    ...(after ? ["--constraints", `${after}.txt`] : []),
    ...(upgrade ? ["--upgrade"] : []),
    ...["--output-file", `${name}.txt`, `${name}.in`],
  ];
}

/** What a lock pins: name and marker to version. */
function pins(text: string): Map<string, string> {
  const entries = [...text.matchAll(/^([a-z0-9][a-z0-9._-]*(?:\[[^\]]*\])?)==([^\s;]+)( ; [^\\\n]*)?/gim)];
  return new Map(
    entries.map(([, name, version, marker = ""]) => [`${name}${marker.trimEnd()}`, version as string]),
  );
}

/** What is another version, new or gone. */
export function changes(before: string, after: string): string[] {
  const [old, now] = [pins(before), pins(after)];
  const changed = [...now].flatMap(([name, version]) => {
    const was = old.get(name);
    return was === version
      ? []
      : [was === undefined ? `${name} ${version} (new)` : `${name} ${was} to ${version}`];
  });
  const gone = [...old.keys()].filter((name) => !now.has(name)).map((name) => `${name} (gone)`);
  return [...changed, ...gone];
}

/** The uv that the image is built with, from PyPI; it stays in the cache. */
async function findUv(context: Context): Promise<string> {
  const list = join(context.root, "docker", "requirements-uv.txt");
  const wanted = createHash("sha256").update(readFileSync(list)).digest("hex").slice(0, 12);
  const folder = join(context.cache, `uv-${wanted}`);
  const uv = join(folder, "bin", "uv");
  if (existsSync(uv)) return uv;
  const python = findProgram("python3", context.env.PATH);
  if (python === undefined)
    throw new UserError(
      "locks take python3 with pip: on Debian and Ubuntu, `sudo apt-get install python3-pip`",
    );
  ensureFolder(context.cache, "what can be made again");
  const fresh = mkdtempSync(`${folder}.`);
  try {
    await step("uv: installing it from PyPI", async () => {
      const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"];
      const { env } = context;
      const { code, stderr } = await capture(python, [...install, "--target", fresh, "-r", list], { env });
      if (code === 0) return;
      const hint = /No module named pip/.test(stderr)
        ? ": on Debian and Ubuntu, `sudo apt-get install python3-pip`"
        : "";
      throw new UserError(`uv cannot be installed${hint}\n${stderr.trim()}`);
    });
    // Whole, or not there: a run that was killed leaves nothing that is taken for it.
    renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  say(`uv: in ${folder}`);
  return uv;
}
