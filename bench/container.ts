/** Measurements 8 and 9: from the image to a Jupyter that answers, and from a changed notebook to an image. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { buildImage } from "../test/support/images.ts";
import type { Bench } from "./bench.ts";
import { compare, median, type Row, readings, seconds } from "./harness.ts";
import { formatValue } from "./report.ts";
import { expectOutcome, IMAGE, notebooks, type Stage } from "./stage.ts";

const PORT = 8888;

/** Settles once Jupyter answers on the port; gives the time of day in milliseconds. */
async function answer(port: number): Promise<number> {
  for (const end = Date.now() + 180_000; Date.now() < end; await sleep(20)) {
    const response = await fetch(`http://127.0.0.1:${port}/api`, {
      signal: AbortSignal.timeout(2_000),
    }).catch(() => undefined);
    if (response?.ok) return Date.now();
  }
  throw new Error(`no Jupyter answers on port ${port}`);
}

/** Measurement 8: a notebook, the image being there. */
export async function measureUp(bench: Bench, { daemon, person }: Stage): Promise<Row[]> {
  person.configure(notebooks(1));
  // The folders and the starters in them are there from now on, for both arms.
  expectOutcome(await person.npm("start"));
  expectOutcome(await person.npm("destroy", "--yes"));

  const up = async () => {
    const started = Date.now();
    const [answered, outcome] = await Promise.all([answer(PORT), person.npm("start")]);
    const ended = Date.now();
    expectOutcome(outcome);
    const { Created } = await daemon.client.getContainer("bench1").inspect();
    expectOutcome(await person.npm("destroy", "--yes"));
    return {
      container: (answered - Date.parse(Created)) / 1000,
      engine: (Date.parse(Created) - started) / 1000,
      whole: (answered - started) / 1000,
      prompt: (ended - started) / 1000,
    };
  };
  const byHand = async () => {
    const volumes = ["-v", `${person.root}/code:/code`, "-v", `${person.root}/data:/data`];
    const options = ["--rm", "--init", "-d", "--name", "bench1", "-p", `127.0.0.1:${PORT}:${PORT}`];
    const further = ["-w", "/code", "-e", "JUPYTER_TOKEN=bench"];
    const run = ["run", ...options, ...volumes, ...further, IMAGE];
    const taken = await seconds(async () => {
      await execa("docker", run, { env: { DOCKER_HOST: daemon.host } });
      await answer(PORT);
    });
    await daemon.client.getContainer("bench1").remove({ force: true, v: true });
    return taken;
  };
  const rounds = await bench.rounds("up", { up, "docker run": byHand });

  const part = (name: string) => formatValue(median(readings(rounds, `up ${name}`)), "s");
  const row = { measurement: 8, against: "docker run", unit: "s" as const };
  return [
    {
      ...row,
      what: "container to Jupyter",
      aim: 1,
      ...compare(rounds, "up container", "docker run"),
      note: `engine time, before the container is made: ${part("engine")}`,
    },
    {
      ...row,
      what: "npm start to Jupyter",
      ...compare(rounds, "up whole", "docker run"),
      note: `the command ends after ${part("prompt")}`,
    },
  ];
}

/**
 * Measurement 9: a rebuild after a changed notebook. The full build is made twice at most, before and after the rounds: it
 * downloads a few hundred megabytes.
 */
export async function measureRebuild(bench: Bench, { daemon, context, firstBuild }: Stage): Promise<Row[]> {
  const notebook = join(context, "notebooks", "where-things-live.ipynb");
  const rebuild = async () => {
    appendFileSync(notebook, "\n");
    return await seconds(() => buildImage(daemon.client, context, IMAGE));
  };
  const again = async () => {
    await execa("docker", ["builder", "prune", "--all", "--force"], { env: { DOCKER_HOST: daemon.host } });
    return await seconds(() => buildImage(daemon.client, context, IMAGE));
  };
  const rounds = await bench.rounds("rebuild", { rebuild });
  bench.say("building the image once more, without the cache");
  const full = [firstBuild, await again()];
  return [
    {
      measurement: 9,
      what: "rebuild, notebook changed",
      against: "full build",
      unit: "s",
      aim: 0.05,
      ...compare(rounds, "rebuild", () => Math.min(...full)),
      note: `full builds: ${full.map((taken) => formatValue(taken, "s")).join(" and ")}, the base image being there; the shorter counts`,
    },
  ];
}
