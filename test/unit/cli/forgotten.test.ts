/** A `--` that was forgotten, as npm itself passes on what is left of the line; and a stack that is named as a notebook would be. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { COMMANDS } from "../../../cli/commands.ts";
import { ROOT } from "../../../cli/context.ts";
import { requireNothingForgotten } from "../../../cli/forgotten.ts";

let checkout: string;
let home: string;
beforeAll(() => {
  checkout = mkdtempSync(join(tmpdir(), "gpubox-forgotten-"));
  home = join(checkout, "home");
  mkdirSync(home);
  const parts = ["cli", "config", "machine", "text", "errors.ts", "package.json", "package-lock.json"];
  for (const part of parts) cpSync(join(ROOT, part), join(checkout, part), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(checkout, "node_modules"));
  writeFileSync(join(checkout, "Pulumi.yaml"), "name: gpubox\n");
  for (const stack of ["dev", "lab"])
    writeFileSync(join(checkout, `Pulumi.${stack}.yaml`), "config:\n  gpubox:notebooks: [{name: two}]\n");
});
afterAll(() => rmSync(checkout, { recursive: true, force: true }));

/** Types a line, as a person who has nothing but the checkout. */
async function type(line: string) {
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    DOCKER_HOST: `unix://${home}/none.sock`,
    GPUBOX_HOME: join(home, "state"),
    npm_config_cache: join(checkout, "npm"),
    npm_config_update_notifier: "false",
  };
  const { exitCode, stderr } = await execa(line, {
    shell: true,
    cwd: checkout,
    env,
    extendEnv: false,
    reject: false,
  });
  expect(readdirSync(home).filter((name) => name === "state")).toEqual([]);
  const [said = ""] = /^gpubox: .*$/m.exec(stderr) ?? [];
  return { exitCode, said };
}

describe("an option that npm keeps for itself", () => {
  it.each([
    ["npm run stop -s lab", "npm run stop -- -s lab"],
    ["npm run stop -s lab two", "npm run stop -- two -s lab"],
    ["npm run stop --stack lab", "npm run stop -- -s lab"],
    ["npm run stop --stack=lab", "npm run stop -- -s lab"],
    ["npm run stop -slab", "npm run stop -- -s lab"],
    ["npm start -s lab", "npm start -- -s lab"],
    ["npm start --yes", "npm start -- --yes"],
    ["npm run destroy -s lab --yes", "npm run destroy -- --yes -s lab"],
    ["npm run destroy -s lab -- --yes", "npm run destroy -- --yes -s lab"],
    ["npm run status --json", "npm run status -- --json"],
    ["npm start --diff", "npm start -- --diff"],
    ["npm run init -s fresh", "npm run init -- -s fresh"],
    ["npm run init --kind ssh", "npm run init -- --kind ssh"],
    ["npm run init --kind ssh --address gpu", "npm run init -- --kind KIND --address NAME"],
    ["npm run pulumi -s lab stack ls", "npm run pulumi -- stack ls -s lab"],
  ])("is told before anything is done: %s", async (typed, right) => {
    const { exitCode, said } = await type(typed);
    expect({ exitCode, said }).toEqual({
      exitCode: 2,
      said: expect.stringMatching(
        /^gpubox: [\w:-]+: npm keeps options for itself where there is no `--` before them\. Nothing was done; write `/,
      ),
    });
    expect(said).toMatch(new RegExp(`write \`${right.replaceAll("--", "-{2}")}\`$`));
  });

  it.each([
    // npm's own, for lines that are read by a program.
    "npm run -s status",
    "npm run -s logs -- two",
    "npm run -s logs two",
    "npm run stop -- -s lab",
  ])("is none in %s", async (typed) => {
    expect((await type(typed)).said).not.toContain("npm keeps");
  });

  it("is none where it is set for all that npm does", async () => {
    const settings = join(home, ".npmrc");
    writeFileSync(settings, "yes=true\njson = true\n");
    try {
      for (const typed of ["npm run stop", "npm run url", "npm run status"])
        expect((await type(typed)).said).not.toContain("npm keeps");
    } finally {
      rmSync(settings);
    }
    expect((await type("npm run status --json")).said).toContain("npm keeps");
  });

  it("is none where npm's environment is that of another script", () => {
    const env = { npm_lifecycle_script: "node scripts/run.mjs test", npm_config_yes: "true" };
    const check = (name: string, more: object) =>
      requireNothingForgotten(name, COMMANDS[name] as never, [], {
        root: checkout,
        env: { ...env, ...more },
      });
    expect(() => check("up", {})).not.toThrow();
    expect(() => check("up", { npm_lifecycle_script: "node cli/gpubox.mjs up" })).toThrow("npm keeps");
  });
});

describe("a stack that is named without -s", () => {
  const check = (name: string, ...argv: string[]) =>
    requireNothingForgotten(name, COMMANDS[name] as never, argv, { root: checkout, env: {} });

  it.each([
    ["stop", ["lab"], "stop: lab is a stack. Nothing was done; write `npm run stop -- -s lab`"],
    ["status", ["lab", "--json"], "write `npm run status -- --json -s lab`"],
    ["up", ["dev"], "start: dev is a stack. Nothing was done; write `npm start -- -s dev`"],
  ])("is told: %s %j", (name, argv, message) => {
    expect(() => check(name, ...argv)).toThrow(message);
  });

  it("is none where a notebook is called so, or what is named is something else", () => {
    writeFileSync(join(checkout, "Pulumi.two.yaml"), "config:\n  gpubox:notebooks: [{name: two}]\n");
    expect(() => check("stop", "two")).not.toThrow();
    expect(() => check("stop", "two", "-s", "lab")).not.toThrow();
    expect(() => check("update", "lab")).not.toThrow();
    expect(() => check("pulumi", "lab")).not.toThrow();
    rmSync(join(checkout, "Pulumi.two.yaml"));
  });
});
