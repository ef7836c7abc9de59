/** `npm run lock`: renews the project's locks of Python packages. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Args, Misuse } from "../cli/args.ts";
import type { Context } from "../cli/context.ts";
import { capture } from "../cli/system/run.ts";
import { step } from "../cli/ui/say.ts";
import { UserError } from "../errors.ts";
import { pythonPackages } from "./python-packages.ts";

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
  "python-checks": { folder: "scripts" },
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
  const list = readFileSync(join(context.root, "docker", "requirements-uv.txt"), "utf8");
  const folder = await step("uv: from PyPI", () => pythonPackages("uv", list, context));
  return join(folder, "bin", "uv");
}
