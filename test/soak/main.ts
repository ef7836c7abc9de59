/**
 * `npm run test:soak`: every campaign at full length, two side by side, for as long as there is time. What is done is kept, so that the
 * next run on the same code goes on where this one was.
 */
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { ROOT } from "../../cli/context.ts";
import { handOver } from "../../cli/system/run.ts";
import { formatSeconds, say } from "../../cli/ui/say.ts";
import { UserError } from "../../errors.ts";
import { DEADLINE, PROGRESS, SEED } from "../support/campaign.ts";
import { keepSummary, SUMMARY, summaryLine } from "../support/summary-reporter.ts";
import { parseSoakArgs } from "./args.ts";
import { openSoak, type Part, sum } from "./record.ts";

/** How many test files run at once. */
const SIDE_BY_SIDE = 2;

const folder = join(ROOT, ".gpubox", "soak");

async function main(args: string[]): Promise<number> {
  const { minutes, seed: wanted, files } = parseSoakArgs(args);
  const began = Date.now();
  const deadline = began + minutes * 60_000;
  const all = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".test.ts"));
  const isMeant = (name: string) => files.length === 0 || files.some((word) => name.includes(word));
  if (!all.some(isMeant))
    throw new UserError(`test:soak: none of ${all.join(", ")} is ${files.join(" or ")}`);

  const newSeed = () => randomBytes(4).readUInt32LE();
  const { seed, parts, isNew } = openSoak(folder, all, await codeOf(ROOT), wanted, newSeed);
  say(`soak: seed ${seed}, ${isNew ? "from the beginning" : "going on where the last run was"}`);
  const waiting = parts.filter(({ file, isDone }) => isMeant(file) && !isDone);
  const begun: Part[] = [];
  const failed: Part[] = [];
  const work = async () => {
    for (let part = waiting.shift(); part; part = Date.now() < deadline ? waiting.shift() : undefined) {
      begun.push(part);
      if (!(await run(part, seed, deadline))) failed.push(part);
      else if (part.isThrough) part.finish();
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, work));

  for (const part of parts.filter(({ file }) => isMeant(file))) {
    const stage = failed.includes(part) ? "failed" : part.isDone ? "done" : "to be gone on with";
    say(`soak: ${part.file}: ${[stage, part.standing].filter(Boolean).join("; ")}`);
  }
  say(`soak: ${formatSeconds((Date.now() - began) / 1000)}, seed ${seed}`);
  const summaries = begun.map(({ summary }) =>
    existsSync(summary) ? readFileSync(summary, "utf8") : undefined,
  );
  const counts = sum(summaries);
  const line = summaryLine(counts);
  const failures = summaries.flatMap((text) => text?.trimEnd().split("\n").slice(1) ?? []);
  keepSummary(line, failures);
  process.stdout.write(`${[...failures, line].join("\n")}\n`);
  return failed.length === 0 && counts.failed === 0 ? 0 : 1;
}

/** Runs a test file; whether it passed. */
async function run({ file, progress, summary }: Part, seed: number, deadline: number): Promise<boolean> {
  rmSync(summary, { force: true });
  const vitest = join(ROOT, "node_modules", ".bin", "vitest");
  const json = `--outputFile.json=${join(folder, `${file}.json`)}`;
  const code = await handOver(vitest, ["run", "--project", "soak", join("test", "soak", file), json], {
    cwd: ROOT,
    env: {
      ...process.env,
      GPUBOX_SOAK: "true",
      [DEADLINE]: Number.isFinite(deadline) ? String(deadline) : undefined,
      [PROGRESS]: progress,
      [SEED]: String(seed),
      [SUMMARY]: summary,
    },
  });
  return code === 0;
}

/** A name for the code as it is: its commit, and a digest of what differs from that. */
async function codeOf(root: string): Promise<string> {
  // A checkout without its history has none to tell.
  const git = async (...args: string[]) =>
    (await execa("git", ["-C", root, ...args], { reject: false })).stdout;
  const changes = `${await git("diff", "HEAD")}${await git("status", "--porcelain")}`;
  const digest = createHash("sha256").update(changes).digest("hex").slice(0, 12);
  return `${await git("rev-parse", "HEAD")} ${digest}`;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  say(error.message);
  process.exitCode = 2;
}
