/** The defaults as they are, as root: the whole image, and a model that really learns, on the CPU. */
import { cpSync, mkdirSync, readdirSync, readFileSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ROOT } from "../../cli/context.ts";
import { parseConfig } from "../../config/schema.ts";
import { inBrowser, runStarter } from "../support/browser.ts";
import { courseNotebooks } from "../support/course.ts";
import { type Daemon, laneFolder, startDaemon } from "../support/daemon.ts";
import { createPerson, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";

/** What the full image takes while it is built, with some room, in bytes. */
const NEEDED = 18e9;

interface Output {
  /** The stream's, where it is one. */
  name?: string;
  text?: string | string[];
  data?: Record<string, unknown>;
}

interface Cell {
  outputs?: Output[];
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

  /** The outputs of a notebook below the person's code, as it was saved. */
  const outputsOf = (path: string): Output[] => {
    const { cells } = JSON.parse(readFileSync(join(person.root, "code", `${path}.ipynb`), "utf8"));
    return cells.flatMap(({ outputs = [] }: Cell) => outputs);
  };

  /** What a notebook wrote to its streams of a name. */
  const written = (path: string, stream: "stdout" | "stderr"): string =>
    outputsOf(path)
      .filter(({ name }) => name === stream)
      .flatMap(({ text = "" }) => text)
      .join("");

  /** Runs a notebook below the person's code, without a browser, and saves its outputs. */
  const runNotebook = async (path: string) => {
    const { exitCode, all } = await inContainer("jupyter", "execute", "--inplace", `/code/${path}.ipynb`);
    expect(exitCode, `${path}: ${all}`).toBe(0);
  };

  const runCourse = async (name: keyof typeof courseNotebooks) => {
    mkdirSync(join(person.root, "code", "course"), { recursive: true });
    writeFileSync(join(person.root, "code", "course", `${name}.ipynb`), courseNotebooks[name]);
    await runNotebook(`course/${name}`);
  };

  it("build the whole image without a long silence", async () => {
    const { exitCode, all, silence } = await person.npm("start");
    expect(exitCode, all).toBe(0);
    // Said every ten seconds, by a machine that has much else to do.
    expect(silence, all).toBeLessThan(40);
  });

  it("show in a browser a model that learns", async () => {
    const url = (await person.npm("url")).stdout;
    await inBrowser(async (page) => {
      const pictures = await runStarter(page, url, "first-model", "are recognised", 10 * 60_000);
      expect(pictures, "a batch, the losses, predictions, the confusion matrix, the top losses").toBe(5);
      await page.keyboard.press("Control+s");
      await expect
        .poll(() => written("starters/first-model", "stdout"), { timeout: 20_000 })
        .toContain("are recognised");
      expect(written("starters/first-model", "stderr"), "no warning among what the person reads").toBe("");
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
      await runNotebook(`starters/${name}`);
      expect(written(`starters/${name}`, "stderr"), `no warning in ${name}`).toBe("");
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

  it("run the first chapter of fast.ai's book", async () => {
    cpSync(join(ROOT, "test", "support", "course-data.py"), join(person.root, "code", "course-data.py"));
    const made = await inContainer("python3", "/code/course-data.py", "/data/shapes/train");
    expect(made.exitCode, made.all).toBe(0);

    await runCourse("first-chapter");
    expect(written("course/first-chapter", "stderr"), "every set is a batch at least").not.toContain(
      "generator is empty",
    );
    const drawn = outputsOf("course/first-chapter").filter(({ data = {} }) => "image/svg+xml" in data);
    expect(drawn, "the two graphs, which take Graphviz").toHaveLength(2);
    const widgets = outputsOf("course/first-chapter").filter(
      ({ data = {} }) => "application/vnd.jupyter.widget-view+json" in data,
    );
    expect(widgets, "the button that uploads").toHaveLength(1);
  });

  it("have what the notebooks of the course import", async () => {
    await runCourse("imports");
    expect(written("course/imports", "stdout")).toMatch(/^torch 2\./m);
  });

  // It takes a package index.
  it("let notebooks of the course install what they install, and keep PyTorch as it is", async () => {
    await runCourse("imports");
    const torch = written("course/imports", "stdout");
    await runCourse("installs");
    const said = written("course/installs", "stdout") + written("course/installs", "stderr");
    expect(said).not.toMatch(/^ERROR|error:/im);
    expect(said, "the image's PyTorch").toContain(torch.trim());
    const { stdout } = await inContainer("pip", "list", "--user");
    expect(stdout, "what is not in the image").toContain("opencv-python");
  });
});
