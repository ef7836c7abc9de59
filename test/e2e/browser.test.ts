/** The notebook as a person sees it: in a real browser, as root, on a machine without a GPU. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { inBrowser, runStarter } from "../support/browser.ts";
import { type Daemon, startDaemon } from "../support/daemon.ts";
import { status } from "../support/jupyter.ts";
import { createPerson, type Person } from "../support/person.ts";
import { describeWithDaemon } from "../support/requirements.ts";

describeWithDaemon("the notebook", () => {
  let daemon: Daemon;
  let person: Person;
  let bin: string;
  let url: string;

  beforeAll(async () => {
    daemon = await startDaemon();
    bin = mkdtempSync(join(tmpdir(), "gpubox-bin-"));
    // What `npm run open` starts: the browser is the test's own, which is told the address.
    const told = `echo "$1" >'${bin}/address.new'\nmv '${bin}/address.new' '${bin}/address'`;
    writeFileSync(join(bin, "browser"), `#!/bin/sh\n${told}\n`, { mode: 0o755 });
    person = await createPerson({ daemon, uid: 0, env: { BROWSER: join(bin, "browser") } });
    person.configure({ image: { target: "lab" } });
  });

  afterAll(async () => {
    await person?.remove();
    await daemon?.end();
    rmSync(bin, { recursive: true });
  });

  it("is made without a long silence, and said loudly to run on the CPU", async () => {
    const { exitCode, all, silence } = await person.npm("start");
    expect(exitCode, all).toBe(0);
    // Said every thirty seconds, by a machine that has much else to do.
    expect(silence, all).toBeLessThan(40);
    expect(all).toMatch(/container1 runs on the CPU: no NVIDIA driver/);
    const [why] = all.trim().split("\n").slice(-2);
    expect(why).toBe("on the CPU: no NVIDIA driver on this host; npm run doctor says how to fix it");
    url = (await person.npm("url")).stdout;
    expect(await status(url, "/api/contents")).toBe(200);
  });

  it("shows and runs a starter by the url that is printed, and asks for a login without its token", async () => {
    await inBrowser(async (page) => {
      await page.goto(new URL("/", url).href);
      expect(await page.locator("input[type=password]").count()).toBe(1);
      await runStarter(page, url, "where-things-live", "not in this image");
    });
  });

  it("is opened in the person's browser, which is not told the token by what others can see", async () => {
    await inBrowser(async (page) => {
      const opening = person.npm("open");
      const address = join(bin, "address");
      await expect.poll(() => existsSync(address), { timeout: 20_000 }).toBe(true);
      const given = readFileSync(address, "utf8").trim();
      expect(given).not.toContain("token");
      const file = pathToFileURL(given).href;
      await page.goto(file);
      // In the folder where the person last was.
      await page.locator(".jp-DirListing-item").first().waitFor();
      const { exitCode, all } = await opening;
      expect(exitCode, all).toBe(0);
      expect(all).not.toMatch(/no browser|token/);
      // It leads there once.
      await expect(page.goto(file)).rejects.toThrow(/ERR_FILE_NOT_FOUND/);
    });
  });

  it("makes files of root's for root", async () => {
    const env = { DOCKER_HOST: daemon.host };
    await execa("docker", ["exec", "container1", "touch", "/code/made-by-root"], { env });
    expect(statSync(join(person.root, "code", "made-by-root")).uid).toBe(0);
  });
});
