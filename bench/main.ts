/** `npm run bench`: measures gpubox against what a person would use instead. See docs/performance.md. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ROOT } from "../cli/context.ts";
import { formatSeconds, say } from "../cli/ui/say.ts";
import { UserError } from "../errors.ts";
import { MISSING } from "../scripts/test-packages.ts";
import { hasLanes, runInLane } from "../test/support/lane.ts";
import { ALL, type BenchArgs, parseBenchArgs } from "./args.ts";
import { type Bench, createBench } from "./bench.ts";
import { measureRebuild, measureUp } from "./container.ts";
import { measureData } from "./data.ts";
import { PUBLISHED, readResults, writeDocs } from "./docs.ts";
import { measureGrowth, measureNoOp } from "./engine.ts";
import type { Row } from "./harness.ts";
import { measurePackages } from "./packages.ts";
import { formatTable, inspectMachine, mergeResults, type Results } from "./report.ts";
import { type Stage, withStage } from "./stage.ts";

/** Folder in memory: no disk's moods in the figures. */
const MEMORY = "/dev/shm";

/** Bytes that a run takes there at most, with some room. */
const NEEDED = 6e9;

/** What this machine lacks for a private Docker daemon, one sentence each. */
const lacking: string[] = JSON.parse(process.env[MISSING] ?? '["run it with `npm run bench`"]');

/** Variable that says that we are in a lane already. */
const IN_LANE = "GPUBOX_BENCH_IN_LANE";

/** Those that need a stage, in the order they are made: the last one empties the build cache. */
const ON_STAGE: [number, (bench: Bench, stage: Stage) => Promise<Row[]>][] = [
  [6, measureNoOp],
  [8, measureUp],
  [10, measureGrowth],
  [9, measureRebuild],
];

async function main(argv: string[]): Promise<void> {
  const args = parseBenchArgs(argv);
  if (args.docs) return writeDocs();
  forgetOwnStacks();
  const results = await withFolder((folder) =>
    measure(createBench(folder, args.rounds, args.scale), args, argv),
  );
  const file = save(results, args);
  process.stdout.write(`\n${formatTable(results)}\n\n`);
  say(`${formatSeconds(results.seconds)} in all; written to ${file}`);
}

/** The stacks that are measured have a state of their own, wherever this person keeps theirs. */
function forgetOwnStacks(): void {
  for (const name of Object.keys(process.env)) {
    if (/^PULUMI_(BACKEND|CONFIG|STACK|ACCESS)/.test(name)) delete process.env[name];
  }
}

/** Makes a folder for everything that is measured, and removes it. */
async function withFolder<T>(action: (folder: string) => Promise<T>): Promise<T> {
  const { bavail, bsize } = statfsSync(MEMORY);
  if (bavail * bsize < NEEDED) {
    throw new UserError(
      `${MEMORY} has ${(bavail * bsize) / 1e9} GB free; the measurements need ${NEEDED / 1e9}`,
    );
  }
  const folder = mkdtempSync(join(MEMORY, "gpubox-bench-"));
  // Several users work in it, and what they start makes its temporary files there.
  chmodSync(folder, 0o1777);
  process.env.TMPDIR = folder;
  try {
    return await action(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(bench: Bench, args: BenchArgs, argv: string[]): Promise<Results> {
  const started = performance.now();
  const date = new Date().toISOString();
  const wants = (number: number) => args.only.has(number);
  const rows: Row[] = [];
  if ([1, 2, 3, 4, 5].some(wants)) rows.push(...(await measureData(bench, args.only)));
  if (wants(7)) rows.push(...(await measurePackages(bench)));
  const staged = ON_STAGE.filter(([number]) => wants(number));
  if (staged.length > 0 && lacking.length === 0) {
    await withStage(bench, async (stage) => {
      for (const [, run] of staged) rows.push(...(await run(bench, stage)));
    });
  }
  return {
    command: ["npm run bench", ...(argv.length > 0 ? ["--", ...argv] : [])].join(" "),
    date,
    seconds: (performance.now() - started) / 1000,
    scale: bench.scale,
    machine: await inspectMachine(),
    rows: rows.toSorted((a, b) => a.measurement - b.measurement).map((row) => ({ ...row, date })),
    missing:
      lacking.length === 0
        ? []
        : staged.map(([measurement]) => ({ measurement, reason: lacking.join("; ") })),
    rounds: bench.record,
  };
}

/** Keeps a whole run as the published figures, any other where it disturbs nobody. */
function save(results: Results, { only, rounds, scale, merge }: BenchArgs): string {
  const whole = only.size === ALL.length && rounds >= 5 && scale === 1 && results.missing.length === 0;
  const file = whole || merge ? PUBLISHED : join(ROOT, ".gpubox", "bench.json");
  const kept = merge && existsSync(PUBLISHED) ? mergeResults(readResults(PUBLISHED), results) : results;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(kept, null, 2)}\n`);
  return file;
}

/** The measurements, in a lane where there can be one: the daemon that some of them start touches no network of this machine's. */
async function run(argv: string[]): Promise<number> {
  if (!hasLanes() || process.env[IN_LANE] || argv.includes("--docs")) {
    await main(argv);
    return 0;
  }
  return await runInLane(process.execPath, [fileURLToPath(import.meta.url), ...argv], {
    ...process.env,
    [IN_LANE]: "true",
  });
}

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
