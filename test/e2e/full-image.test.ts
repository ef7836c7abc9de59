/** The defaults as they are, as root: the whole image, and a model that really learns, on the CPU. */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse } from "yaml";
import { ROOT } from "../../cli/context.ts";
import { parseConfig } from "../../config.ts";
import { inBrowser, openNotebook, runAllCells } from "../support/browser.ts";
import { type Daemon, laneFolder, startDaemon } from "../support/daemon.ts";
import { status } from "../support/jupyter.ts";
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
  let bin: string;
  let target: "full" | "lab";

  beforeAll(async () => {
    daemon = await startDaemon();
    bin = mkdtempSync(join(tmpdir(), "gpubox-bin-"));
    // What `npm run open` starts: the browser is the test's own, which is told the address.
    writeFileSync(
      join(bin, "browser"),
      `#!/bin/sh\necho "$1" >'${bin}/address.new'\nmv '${bin}/address.new' '${bin}/address'\n`,
    );
    chmodSync(join(bin, "browser"), 0o755);
    person = await createPerson({ daemon, uid: 0, env: { BROWSER: join(bin, "browser") } });
    const { bavail, bsize } = statfsSync(laneFolder());
    target = bavail * bsize > NEEDED ? "full" : "lab";
    if (target === "lab") {
      process.stderr.write(`under ${NEEDED / 1e9} GB of disk are free: the image lab stands in for full\n`);
      person.configure({ image: { target } });
    } else {
      cpSync(join(ROOT, "Pulumi.dev.yaml"), join(person.project, "Pulumi.dev.yaml"));
    }
  });

  afterAll(async () => {
    await person?.npm("destroy", "--yes");
    await person?.remove();
    await daemon?.end();
    rmSync(bin, { recursive: true });
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

  it("give a notebook, and say loudly that it runs on the CPU", async () => {
    const { exitCode, all, silence } = await person.npm("start");
    expect(exitCode, all).toBe(0);
    // Said every ten seconds, by a machine that has much else to do.
    expect(silence, all).toBeLessThan(15);
    expect(all).toMatch(/container1 runs on the CPU: no NVIDIA driver/);
    const [why] = all.trim().split("\n").slice(-2);
    expect(why).toBe("on the CPU: no NVIDIA driver on this host; npm run doctor says what mends it");
    expect(await status((await person.npm("url")).stdout, "/api/contents")).toBe(200);
  });

  it("show in a browser, by the url that is printed, a model that learns", async () => {
    const url = (await person.npm("url")).stdout;
    const [notebook, lastWords] =
      target === "full" ? ["first-model", "are recognised"] : ["where-things-live", "not in this image"];
    await inBrowser(async (page) => {
      await page.goto(new URL("/", url).href);
      expect(await page.locator("input[type=password]").count(), "without the token: a login").toBe(1);

      await page.goto(url);
      await openNotebook(page, `starters/${notebook}.ipynb`);
      expect(page.url(), "the token is not left in the address").not.toContain("token");
      const pictures = await runAllCells(page, lastWords, 5 * 60_000);
      expect(await page.getByText("Jupyter news").count(), "nothing of the network is offered").toBe(0);
      expect(await page.locator(".jp-OutputArea-output[data-mime-type$=error]").count()).toBe(0);
      if (target !== "full") return;
      expect(pictures, "a batch, the losses, predictions, the confusion matrix, the top losses").toBe(5);
      await page.keyboard.press("Control+s");
      await expect.poll(() => streamsOf(notebook), { timeout: 20_000 }).toContain("stdout");
      expect(streamsOf(notebook), "no warning among what the person reads").not.toContain("stderr");
      await page.getByRole("heading", { name: "Training" }).evaluate((heading) => heading.scrollIntoView());
      await page.waitForTimeout(500);
      // The README's: GPUBOX_SCREENSHOT=docs/screenshot.png npm test -- --project e2e test/e2e/full-image.test.ts
      const path = process.env.GPUBOX_SCREENSHOT;
      const screenshot = await page.screenshot(path ? { path } : {});
      expect(screenshot.length, "small enough for the README").toBeLessThan(200_000);
    });
  });

  it("open in the person's browser, which is not told the token by what others can see", async () => {
    await inBrowser(async (page) => {
      const opening = person.npm("open");
      const address = join(bin, "address");
      await expect.poll(() => existsSync(address), { timeout: 20_000 }).toBe(true);
      const given = readFileSync(address, "utf8").trim();
      expect(given).not.toContain("token");
      await page.goto(given);
      // In the folder where the person last was.
      await page.locator(".jp-DirListing-item").first().waitFor();
      const { exitCode, all } = await opening;
      expect(exitCode, all).toBe(0);
      expect(all).not.toMatch(/no browser|token/);
      // It leads there once.
      await expect(page.goto(given)).rejects.toThrow(/ERR_CONNECTION_REFUSED/);
    });
  });

  it("have starters that run without a browser too", async () => {
    const names = target === "full" ? ["is-my-gpu-working", "where-things-live"] : ["where-things-live"];
    for (const name of names) {
      const notebook = `/code/starters/${name}.ipynb`;
      const { exitCode, all } = await inContainer("jupyter", "execute", notebook);
      expect(exitCode, `${name}: ${all}`).toBe(0);
    }
  });

  it("let fastai find a set of the catalogue where gpubox puts it", async () => {
    if (target !== "full") return;
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

  it("give root's notebooks root's files", async () => {
    expect((await inContainer("touch", "/code/made-by-root")).exitCode).toBe(0);
    expect(statSync(join(person.root, "code", "made-by-root")).uid).toBe(0);
  });

  it("are what Pulumi.dev.yaml says", () => {
    const { config } = parse(readFileSync(join(ROOT, "Pulumi.dev.yaml"), "utf8"));
    expect(config["gpubox:notebooks"]).toEqual([{ name: "container1", gpus: "auto", port: 8888 }]);
    expect(config["gpubox:root"]).toBe("~/docker_mount");
  });
});
