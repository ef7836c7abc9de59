/** The defaults as they are, as root: the whole image, and a model that really learns, on the CPU. */
import { cpSync, mkdirSync, readdirSync, readFileSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ROOT } from "../../cli/context.ts";
import { parseConfig } from "../../config.ts";
import { inBrowser, runStarter } from "../support/browser.ts";
import { type Daemon, laneFolder, startDaemon } from "../support/daemon.ts";
import { createPerson, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";

/** What the full image takes while it is built, with some room, in bytes. */
const NEEDED = 15e9;

interface Cell {
  outputs?: { name?: string }[];
}

describeWithDaemon("the defaults", () => {
  let daemon: Daemon;
  let person: Person;

  beforeAll(async () => {
    const { bavail, bsize } = statfsSync(laneFolder());
    const free = bavail * bsize;
    if (free < NEEDED)
      throw new Error(
        `the whole image takes ${NEEDED / 1e9} GB of disk while it is built; ${laneFolder()} has ${(free / 1e9).toFixed(1)} GB free`,
      );
    daemon = await startDaemon();
    person = await createPerson({ daemon, uid: 0 });
    cpSync(join(ROOT, "Pulumi.dev.yaml"), join(person.project, "Pulumi.dev.yaml"));
  });

  afterAll(async () => {
    await person?.remove();
    await daemon?.end();
  });

  const inContainer = (...command: string[]) =>
    execa("docker", ["exec", "container1", ...command], {
      env: { DOCKER_HOST: daemon.host },
      reject: false,
      all: true,
    });

  /** What the cells of a starter wrote to, as it was saved. */
  const streamsOf = (name: string): string[] => {
    const { cells } = JSON.parse(
      readFileSync(join(person.root, "code", "starters", `${name}.ipynb`), "utf8"),
    );
    return cells.flatMap(({ outputs = [] }: Cell) => outputs.flatMap(({ name }) => name ?? []));
  };

  it("build the whole image without a long silence", async () => {
    const { exitCode, all, silence } = await person.npm("start");
    expect(exitCode, all).toBe(0);
    // Said every ten seconds, by a machine that has much else to do.
    expect(silence, all).toBeLessThan(15);
  });

  it("show in a browser a model that learns", async () => {
    const url = (await person.npm("url")).stdout;
    await inBrowser(async (page) => {
      const pictures = await runStarter(page, url, "first-model", "are recognised", 10 * 60_000);
      expect(pictures, "a batch, the losses, predictions, the confusion matrix, the top losses").toBe(5);
      await page.keyboard.press("Control+s");
      await expect.poll(() => streamsOf("first-model"), { timeout: 20_000 }).toContain("stdout");
      expect(streamsOf("first-model"), "no warning among what the person reads").not.toContain("stderr");
      await page.getByRole("heading", { name: "Training" }).evaluate((heading) => heading.scrollIntoView());
      await page.waitForTimeout(500);
      // The README's: GPUBOX_SOAK=1 GPUBOX_SCREENSHOT=docs/screenshot.png npm test -- --project soak test/soak/full-image.test.ts
      const path = process.env.GPUBOX_SCREENSHOT;
      const screenshot = await page.screenshot(path ? { path } : {});
      expect(screenshot.length, "small enough for the README").toBeLessThan(200_000);
    });
  });

  it("have starters that run without a browser too", async () => {
    for (const name of ["is-my-gpu-working", "where-things-live"]) {
      const notebook = `/code/starters/${name}.ipynb`;
      const { exitCode, all } = await inContainer("jupyter", "execute", notebook);
      expect(exitCode, `${name}: ${all}`).toBe(0);
    }
  });

  it("let fastai find a set of the catalogue where gpubox puts it", async () => {
    const [entry] = parseConfig({ data: ["mnist_tiny"] }, "dev").data;
    const folder = join(person.root, "data", entry?.folder as string);
    mkdirSync(folder);
    // It would be downloaded otherwise, which fails without a network and would not leave the folder empty.
    const { exitCode, stdout, all } = await inContainer(
      "python3",
      "-c",
      "from fastai.data.external import URLs, untar_data; print(untar_data(URLs.MNIST_TINY))",
    );
    expect(exitCode, all).toBe(0);
    expect(stdout.trim()).toBe("/data/mnist_tiny");
    expect(readdirSync(folder)).toEqual([]);
  });
});
