/**
 * A person with a clone of gpubox: a home and a checkout of their own, on a Docker daemon of the tests' own.
 * Their commands are the real ones, `node cli/gpubox.mjs …` as package.json has them.
 */
import { chownSync, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { stringify } from "yaml";
import { createContext, ROOT } from "../../cli/context.ts";
import { dockerfileBase, prepareBaseImage } from "../../cli/docker/base-image.ts";
import { prepareEngine } from "../../cli/pulumi/engine.ts";
import { shellLine } from "../../text/shell.ts";
import type { Daemon } from "./daemon.ts";

/** What a command printed, and how it ended. */
export interface Outcome {
  exitCode: number;
  stdout: string;
  stderr: string;
  /** Both, in the order they came. */
  all: string;
  /** The longest time in which neither had anything to say, in seconds. */
  silence: number;
}

/** A person and what they can do. */
export interface Person {
  /** Their checkout. */
  project: string;
  home: string;
  /** The stack's root: their `code/` and `data/`. */
  root: string;
  /** Writes the configuration of a stack, `dev` by default; `root` is filled in. */
  configure(config: Record<string, unknown>, stack?: string): void;
  /** Runs an npm script of gpubox's. */
  npm(script: string, ...args: string[]): Promise<Outcome>;
  /** Runs an npm script on a terminal of 80 columns, at which the person answers a question of `[y/N]`. */
  typed(answer: string, script: string, ...args: string[]): Promise<Outcome>;
  /** Runs a command in a shell in the checkout. */
  sh(command: string): Promise<Outcome>;
  /** The same, with what `npm run env` exports. */
  shell(command: string): Promise<Outcome>;
  /** Removes the home, checkout included. */
  remove(): Promise<void>;
}

/** Who a person is. */
export interface PersonOptions {
  daemon: Pick<Daemon, "host">;
  /** Their DOCKER_HOST; the daemon's address by default. */
  dockerHost?: string;
  /** Their uid and gid. */
  uid?: number;
  /** Further environment. */
  env?: Record<string, string>;
  /** Put before their PATH. */
  path?: string;
  /** Whether they have an engine already, where it has to be built; by default, since that takes minutes. */
  hasEngine?: boolean;
}

/** Makes a person with a fresh clone. Needs root, to become somebody else. */
export async function createPerson({
  daemon,
  dockerHost = daemon.host,
  uid = 1000,
  env = {},
  path,
  hasEngine = true,
}: PersonOptions): Promise<Person> {
  const home = mkdtempSync(join(tmpdir(), "gpubox-person-"));
  const project = join(home, "gpubox");
  const root = join(home, "docker_mount");
  const { cache: ourCache } = createContext();
  const ownPath = await reachable(pathWithout(process.env.PATH ?? "", [ROOT, ourCache]), uid);
  const ours = createContext({ ...process.env, PATH: ownPath });

  // The folders that only cost time are shared: the dependencies and the engine.
  cpSync(ROOT, project, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !/\/(node_modules|\.git)$/.test(path),
  });
  await shareDependencies(project, uid);
  const cache = join(home, ".cache", "gpubox");
  const engine = await prepareEngine(ours);
  if (engine.origin === "built" && hasEngine) {
    cpSync(join(ours.cache, "engine"), join(cache, "engine"), { recursive: true });
  }
  // Whether official downloads can be had was found out already; nobody waits for it again.
  cpSync(join(ours.cache, "findings.json"), join(cache, "findings.json"));
  await prepareBaseImage(ours, daemon.host, dockerfileBase(ROOT));
  await execa("chown", ["-R", "-h", `${uid}:${uid}`, home]);

  const own = {
    ...process.env,
    ...env,
    HOME: home,
    DOCKER_HOST: dockerHost,
    PATH: path ? `${path}:${ownPath}` : ownPath,
    // As a person's machine is, which the tests' own environment may not be.
    CI: undefined,
    GPUBOX_HOME: undefined,
    GPUBOX_CACHE: undefined,
    NODE_COMPILE_CACHE: undefined,
    NODE_OPTIONS: undefined,
    PULUMI_CREDENTIALS_PATH: undefined,
    PULUMI_HOME: undefined,
    VITEST: undefined,
    NODE_ENV: undefined,
  };

  async function command(file: string, args: string[], answer?: string): Promise<Outcome> {
    const running = execa(file, args, {
      cwd: project,
      env: own,
      extendEnv: false,
      uid,
      gid: uid,
      all: true,
      stdin: answer === undefined ? "ignore" : "pipe",
      reject: false,
    });
    let silence = 0;
    let last = performance.now();
    const said = () => {
      const now = performance.now();
      silence = Math.max(silence, (now - last) / 1000);
      last = now;
    };
    running.all.on("data", (text) => {
      said();
      // What is typed before it is asked for, the engine takes for the terminal's answer to a question of its own.
      if (String(text).includes("[y/N]") && running.stdin?.writable) running.stdin.end(`${answer}\n`);
    });
    const { exitCode = -1, stdout, stderr, all } = await running;
    said();
    return { exitCode, stdout, stderr, all, silence };
  }

  const gpubox = join(project, "cli", "gpubox.mjs");
  const { scripts } = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
  /** What an npm script gives gpubox.mjs to do. */
  const commandOf = (script: string): string => scripts[script].split(" ")[2];
  return {
    project,
    home,
    root,
    configure(config, stack = "dev") {
      const prefixed = Object.entries({ root, ...config }).map(([key, value]) => [`gpubox:${key}`, value]);
      const file = join(project, `Pulumi.${stack}.yaml`);
      writeFileSync(file, stringify({ config: Object.fromEntries(prefixed) }));
      chownSync(file, uid, uid);
    },
    npm: (script, ...args) => command("node", [gpubox, commandOf(script), ...args]),
    typed(answer, script, ...args) {
      const line = `stty cols 80; exec ${shellLine(["node", gpubox, commandOf(script), ...args])}`;
      return command("script", ["-qec", line, "/dev/null"], answer);
    },
    sh: (text) => command("sh", ["-ec", text]),
    shell: (text) => command("sh", ["-ec", `eval "$(node ${gpubox} env)"; ${text}`]),
    async remove() {
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** A PATH without the folders that `npm test` put there: a person's own set-up finds those by itself. */
function pathWithout(path: string, ours: string[]): string {
  return path
    .split(":")
    .filter((folder) => !ours.some((own) => folder.startsWith(own)))
    .join(":");
}

/** The folders of a PATH that `uid` may look into: a person's has no folders of root's. */
async function reachable(path: string, uid: number): Promise<string> {
  const folders = path.split(":").map(async (folder) => {
    const { exitCode } = await execa("ls", [folder], { uid, gid: uid, stdio: "ignore", reject: false });
    return exitCode === 0 ? [folder] : [];
  });
  return (await Promise.all(folders)).flat().join(":");
}

/** Gives a checkout the dependencies of ours: by a link, or by a copy where `uid` may not follow it. */
async function shareDependencies(project: string, uid: number): Promise<void> {
  const dependencies = join(ROOT, "node_modules");
  const target = join(project, "node_modules");
  const probe = await execa("test", ["-r", join(dependencies, ".package-lock.json")], {
    uid,
    gid: uid,
    reject: false,
  });
  if (probe.exitCode === 0) symlinkSync(dependencies, target);
  else cpSync(dependencies, target, { recursive: true, verbatimSymlinks: true });
}
