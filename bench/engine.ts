/** Measurements 6 and 10: what the engine and the program take when nothing changes, and as a stack grows. */
import { cpSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { stringify } from "yaml";
import type { Person } from "../test/support/person.ts";
import type { Bench } from "./bench.ts";
import { type Arm, compare, median, type Round, type Row, readings, seconds } from "./harness.ts";
import { watchMemory } from "./memory.ts";
import { formatValue } from "./report.ts";
import { expectOutcome, IMAGE, notebooks, type Stage } from "./stage.ts";

/** What Pulumi's own documentation asks for to run a program that is an ES module by its default settings. */
const TS_NODE = "ts-node@10.9.2";

const UNCHANGED = /^unchanged/m;

/** Measurement 6: an `up` that has nothing to do. */
export async function measureNoOp(bench: Bench, stage: Stage): Promise<Row[]> {
  const { person } = stage;
  person.configure(notebooks(1));
  expectOutcome(await person.npm("start"));
  // Until Docker's own check has passed, a start cannot be certain that there is nothing to do.
  await healthy(stage);
  bench.say("making the same program with Pulumi's default settings");
  const engine = await defaultSettings(bench, person);
  const compose = await prepareCompose(bench, stage);
  const rounds = await bench.rounds("no-op up", {
    "npm start": async () => {
      // The other arms run the engine by itself, which writes the state: the next start looks whether that changed anything.
      expectOutcome(await person.npm("start"), UNCHANGED);
      return await seconds(async () => expectOutcome(await person.npm("start"), UNCHANGED));
    },
    engine: () => engine.asWeRunIt(),
    "pulumi up": () => engine.asItComes(),
    ...(compose ? { compose: () => seconds(compose.up) } : {}),
  });
  await compose?.down();
  expectOutcome(await person.npm("destroy", "--yes"));

  const alone = median(readings(rounds, "engine"));
  const row = { measurement: 6, what: "no-op npm start", unit: "s" as const };
  return [
    {
      ...row,
      against: "pulumi's defaults",
      aim: 0.25,
      ...compare(rounds, "npm start", "pulumi up"),
      note: `pulumi up --skip-preview alone: ${formatValue(alone, "s")}${compose ? "" : "; docker compose is not available here"}`,
    },
    ...(compose
      ? [
          {
            ...row,
            against: compose.name,
            aim: 1.2,
            ...compare(rounds, "npm start", "compose"),
            note: `${compose.name} ${compose.version} up -d`,
          },
        ]
      : []),
  ];
}

/** Waits until every notebook's own check has passed. */
async function healthy({ person }: Stage): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const { stdout } = await person.npm("status");
    if (/\(healthy\)/.test(stdout) && !/\(starting\)/.test(stdout)) return;
    if (Date.now() > deadline) throw new Error(`the notebooks are not healthy:\n${stdout}`);
  }
}

/**
 * The person's program, stack and daemon in another folder, with Pulumi's defaults: no options of the runtime in Pulumi.yaml,
 * so that ts-node compiles and type-checks the program, a preview before the update, no compile cache.
 */
async function defaultSettings(bench: Bench, person: Person): Promise<{ asWeRunIt: Arm; asItComes: Arm }> {
  const project = join(person.home, "default-settings");
  const tools = join(bench.folder, "ts-node");
  cpSync(person.project, project, { recursive: true, filter: (path) => !path.endsWith("/node_modules") });
  const modules = join(project, "node_modules");
  await execa("cp", ["-R", realpathSync(join(person.project, "node_modules")), modules]);
  await execa("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--prefix", tools, TS_NODE]);
  // What is there already stays, TypeScript above all.
  await execa("cp", ["-Rn", `${join(tools, "node_modules")}/.`, modules]);

  const settings = join(project, "Pulumi.yaml");
  writeFileSync(settings, stringify({ name: "gpubox", main: "program/main.mjs", runtime: "nodejs" }));
  // ts-node writes JavaScript, if only in memory: imports that end in .ts have to be rewritten.
  const file = join(project, "tsconfig.json");
  const { compilerOptions } = JSON.parse(readFileSync(file, "utf8"));
  const { noEmit: _, ...kept } = compilerOptions;
  const rewriting = { ...kept, rewriteRelativeImportExtensions: true };
  writeFileSync(file, JSON.stringify({ compilerOptions: rewriting, include: ["*.ts", "components"] }));

  const environment = join(person.home, "environment");
  const exported = await person.npm("env");
  expectOutcome(exported);
  writeFileSync(environment, exported.stdout);
  await execa("chown", ["-R", "-h", `--reference=${person.project}`, project, environment]);

  const up = (setUp: string, options: string) => async () => {
    const command = `. ${environment}; ${setUp}; exec pulumi up --yes --non-interactive ${options}`;
    return await seconds(async () => expectOutcome(await person.sh(command), /unchanged/));
  };
  return {
    asWeRunIt: up("true", "--skip-preview"),
    asItComes: up(`unset NODE_COMPILE_CACHE; cd ${project}`, ""),
  };
}

/** docker compose with a notebook of its own, where this machine has it. */
async function prepareCompose(bench: Bench, { daemon, person }: Stage) {
  const env = { DOCKER_HOST: daemon.host };
  for (const command of [["docker", "compose"], ["docker-compose"]]) {
    const [file = "", ...first] = command;
    const { exitCode, stdout } = await execa(file, [...first, "version", "--short"], { reject: false });
    if (exitCode !== 0) continue;
    const definition = join(bench.folder, "compose.yaml");
    const volumes = [`${person.root}/code:/code`, `${person.root}/data:/data`];
    const service = { image: IMAGE, init: true, ports: ["127.0.0.1:8890:8888"], volumes };
    const token = { JUPYTER_TOKEN: "bench" };
    writeFileSync(
      definition,
      stringify({ version: "3.7", services: { notebook: { ...service, environment: token } } }),
    );
    const run = (...args: string[]) =>
      execa(file, [...first, "-p", "gpubox-bench", "-f", definition, ...args], { env });
    const up = async () => void (await run("up", "-d"));
    await up();
    return { name: command.join(" "), version: stdout.trim(), up, down: () => run("down", "-t", "1") };
  }
  return undefined;
}

/** Sizes of a stack, in notebooks; the first is the measure of the others. */
const SIZES = [1, 4, 16] as const;

const ACTIONS = { up: ["start"], "no-op": ["start"], destroy: ["destroy", "--yes"] } as const;

/** Measurement 10: time and memory of 1, 4 and 16 notebooks. */
export async function measureGrowth(bench: Bench, { person }: Stage): Promise<Row[]> {
  const cycle = (size: number) => async () => {
    person.configure(notebooks(size));
    const measured: Record<string, number> = {};
    for (const [action, [script, ...args]] of Object.entries(ACTIONS)) {
      const memory = watchMemory(process.pid);
      try {
        measured[`${action} s`] = await seconds(async () => expectOutcome(await person.npm(script, ...args)));
      } finally {
        measured[`${action} MB`] = memory.stop();
      }
    }
    return measured;
  };
  const arms = Object.fromEntries(SIZES.map((size) => [size, cycle(size)]));
  const rounds = await bench.rounds("growth", arms);
  return Object.keys(ACTIONS).flatMap((action) => [
    growth(rounds, action, "s"),
    growth(rounds, action, "MB"),
  ]);
}

/** The largest stack against as many times the smallest: what linear growth would be. */
function growth(rounds: Round[], action: string, unit: "s" | "MB"): Row {
  const [one, some, many] = SIZES;
  const at = (size: number) => median(readings(rounds, `${size} ${action} ${unit}`));
  const further = (from: number, to: number) => formatValue((at(to) - at(from)) / (to - from), unit);
  return {
    measurement: 10,
    what: `${action} of ${many}${unit === "MB" ? ", memory" : ""}`,
    against: `${many} × 1 notebook`,
    unit,
    aim: 1,
    ...compare(
      rounds,
      `${many} ${action} ${unit}`,
      (values) => many * (values[`${one} ${action} ${unit}`] ?? 0),
    ),
    note: `${SIZES.map((size) => `${size}: ${formatValue(at(size), unit)}`).join(", ")}; each further one ${further(one, some)}, from the fourth on ${further(some, many)}`,
  };
}
