import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { browserProgram, openBrowser } from "../../../cli/browser.ts";

const folder = mkdtempSync(join(tmpdir(), "gpubox-arrival-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the browser", () => {
  const program = (name: string, text: string) => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(folder, name), 0o755);
  };
  const PATH = `${folder}:${process.env.PATH}`;
  const URL = "http://127.0.0.1:8888/?token=secret";

  it("gets to the notebook by a page that is there once, and the token is in no argument", async () => {
    program(
      "my-browser",
      `echo "$@" >${folder}/args; curl -si "$1" >${folder}/first; curl -s "$1"; echo $? >${folder}/second`,
    );
    expect(await openBrowser(URL, { PATH, BROWSER: "my-browser" })).toBe(true);
    // The page is there once: the next one who asks finds nobody (curl's 7).
    const second = () => existsSync(join(folder, "second")) && readFileSync(join(folder, "second"), "utf8");
    await expect.poll(second, { timeout: 20_000 }).toBe("7\n");
    expect(readFileSync(join(folder, "args"), "utf8")).not.toContain("secret");
    const first = readFileSync(join(folder, "first"), "utf8");
    expect(first).toMatch(/^HTTP\/1\.1 302/);
    expect(first).toContain(`location: ${URL}`);
  });

  it("is the first that BROWSER names and that is there, by name or by path", () => {
    program("my-browser", "");
    const path = join(folder, "my-browser");
    expect(browserProgram({ PATH: "/usr/bin", BROWSER: path }, "linux")).toBe(path);
    expect(browserProgram({ PATH, BROWSER: "/nowhere/browser:not-there:my-browser" }, "linux")).toBe(path);
    expect(browserProgram({ PATH: "/nowhere", BROWSER: `${path}-2` }, "linux")).toBeUndefined();
  });

  it("is not opened where there is no screen, or the program fails", async () => {
    program("xdg-open", "exit 3");
    expect(browserProgram({ PATH }, "linux")).toBeUndefined();
    expect(browserProgram({ PATH, DISPLAY: ":0" }, "linux")).toBe(join(folder, "xdg-open"));
    expect(await openBrowser(URL, { PATH })).toBe(false);
    expect(await openBrowser(URL, { PATH, DISPLAY: ":0" })).toBe(false);
  });
});
