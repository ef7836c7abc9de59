import { randomUUID } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { browserProgram, openBrowser } from "../../../../cli/ui/browser.ts";
import { processes } from "../../../support/processes.ts";

const SECRET = randomUUID();
const folder = mkdtempSync(join(tmpdir(), "gpubox-arrival-"));
const home = mkdtempSync(join(tmpdir(), "gpubox-home-"));
afterAll(() => {
  for (const each of [folder, home]) rmSync(each, { recursive: true, force: true });
});

describe("the browser", () => {
  const program = (name: string, text: string) => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(folder, name), 0o755);
  };
  const PATH = `${folder}:${process.env.PATH}`;
  const URL = `http://127.0.0.1:8888/?token=${SECRET}&a=b`;
  const env = { PATH, HOME: home };
  const told = (name: string) => readFileSync(join(folder, name), "utf8").trim();

  it("gets to the notebook by a file that only the person can read, and that is gone after use", async () => {
    program(
      "my-browser",
      `echo "$@" >${folder}/args; stat -c %a "$1" "\${1%/*}" >${folder}/modes; ss -Hltnp >${folder}/listening; cat "$1" >${folder}/page`,
    );
    expect(await openBrowser(URL, { ...env, BROWSER: "my-browser" })).toBe(true);
    // A snap sees what is not hidden in the home, and nothing of /tmp.
    expect(told("args")).toMatch(new RegExp(`^${home}/[^./][^/]*/[^./][^/]*\\.html$`));
    expect(told("modes")).toBe("600\n700");
    expect(told("listening"), "nobody can ask this process for it").not.toContain(`pid=${process.pid},`);
    expect(told("page")).toContain(`content="0; url=http://127.0.0.1:8888/?token=${SECRET}&amp;a=b"`);
    expect(readdirSync(home)).toEqual([]);
  });

  it("is waited for, and told the token by nothing that others can see", async () => {
    program("my-browser", `sleep 1; cat "$1" >${folder}/page; exec sleep 30`);
    const opening = openBrowser(URL, { ...env, BROWSER: "my-browser" });
    await expect.poll(() => readdirSync(home).length).toBe(1);
    expect(processes().filter(({ args }) => args.includes(SECRET))).toEqual([]);
    expect(await opening, "one that stays open").toBe(true);
    expect(told("page")).toContain(SECRET);
    expect(readdirSync(home)).toEqual([]);
  });

  it("is the first that BROWSER names and that is there, by name or by path", () => {
    program("my-browser", "");
    const path = join(folder, "my-browser");
    expect(browserProgram({ PATH: "/usr/bin", BROWSER: path }, "linux")).toBe(path);
    expect(browserProgram({ PATH, BROWSER: "/nowhere/browser:not-there:my-browser" }, "linux")).toBe(path);
    expect(browserProgram({ PATH: "/nowhere", BROWSER: `${path}-2` }, "linux")).toBeUndefined();
  });

  it("of an editor on another machine, which has not the file, is not given it", () => {
    const helper = "/home/ada/.vscode-server/bin/0123abcd/bin/helpers/browser.sh";
    expect(browserProgram({ PATH, BROWSER: helper }, "linux")).toBeUndefined();
    program("xdg-open", "exit 3");
    expect(browserProgram({ PATH, BROWSER: helper, DISPLAY: ":0" }, "linux")).toBe(join(folder, "xdg-open"));
  });

  it("of Windows is given the name that the file has there", async () => {
    program("wslpath", `echo "//wsl.localhost/Debian$2"`);
    program(
      "chrome.exe",
      `echo "$@" >${folder}/args; cat "\${1#file://wsl.localhost/Debian}" >${folder}/page`,
    );
    expect(await openBrowser(URL, { ...env, BROWSER: join(folder, "chrome.exe") })).toBe(true);
    expect(told("args")).toMatch(/^file:\/\/wsl\.localhost\/Debian\/.*\.html$/);
  });

  it("is not opened where there is no screen, no home to write to, or the program fails", async () => {
    program("xdg-open", "exit 3");
    expect(browserProgram({ PATH }, "linux")).toBeUndefined();
    expect(browserProgram({ PATH, DISPLAY: ":0" }, "linux")).toBe(join(folder, "xdg-open"));
    expect(await openBrowser(URL, env)).toBe(false);
    expect(await openBrowser(URL, { ...env, DISPLAY: ":0" })).toBe(false);
    expect(readdirSync(home)).toEqual([]);
    expect(await openBrowser(URL, { ...env, DISPLAY: ":0", HOME: join(home, "not there") })).toBe(false);
  });
});
