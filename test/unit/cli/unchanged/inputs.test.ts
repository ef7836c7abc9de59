import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Args } from "../../../../cli/args.ts";
import { createContext, ROOT } from "../../../../cli/context.ts";
import { hashInputs, PROGRAM } from "../../../../cli/unchanged/inputs.ts";

const ARGS: Args = { stack: "dev", isNamed: false, names: [], options: {}, rest: [] };

/** What is in a checkout and decides nothing about a stack. */
const NOT_PART_OF_IT =
  /^(\..*|.*\.md|LICENSE|Pulumi\..+\.yaml|bench|biome\.json|docs|policy|pyproject\.toml|schema|scripts|test|tsconfig\.json|vitest\.config\.ts)$/;

describe("what a start depends on", () => {
  let folder: string;
  let root: string;
  let bin: string;
  let env: Record<string, string>;
  const at = (...path: string[]) => join(root, ...path);
  const put = (path: string, text = "x") => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  };
  const hash = (args: Partial<Args> = {}) => hashInputs(createContext(env, root), { ...ARGS, ...args });
  const configure = (...lines: string[]) =>
    put(at("Pulumi.dev.yaml"), ["config:", ...lines.map((line) => `  ${line}`), ""].join("\n"));

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "gpubox-inputs-"));
    root = join(folder, "checkout");
    bin = join(folder, "bin");
    env = { HOME: folder, PATH: bin };
    mkdirSync(bin);
    for (const name of PROGRAM) put(/\.\w+$/.test(name) ? at(name) : at(name, "file"));
    put(at("Pulumi.yaml"), "name: gpubox\n");
    configure("gpubox:image:", "  target: lab", "  requirements: mine.txt");
    put(at("mine.txt"), "timm\n");
    put(join(folder, ".gpubox", "passphrase"), "one");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("is the same for as long as nothing changes", () => {
    const before = hash();
    expect(before).toMatch(/^[0-9a-f]{64}$/);
    put(at("docs", "page.md"));
    put(at("node_modules", "some", "index.js"));
    put(at("host-scripts", "__pycache__", "tree.pyc"));
    put(at("Pulumi.lab.yaml"));
    put(join(folder, "notes.txt"));
    Object.assign(env, { TERM: "xterm", SSH_AUTH_SOCK: "/tmp/agent", PULUMI_CONFIG_PASSPHRASE: "two" });
    env.GPUBOX_CALLER = "npx gpubox";
    expect(hash()).toBe(before);
    expect(hash({ options: { yes: true } })).toBe(before);
  });

  it.each([
    ["the stack's file", () => configure("gpubox:image:", "  target: full", "  requirements: mine.txt")],
    ["the file of requirements", () => appendFileSync(at("mine.txt"), "kornia\n")],
    ["that it is gone", () => rmSync(at("mine.txt"))],
    ["the mode of a file of the image", () => chmodSync(at("docker", "file"), 0o755)],
    ["a new file of the image", () => put(at("docker", "files", "wheel.whl"))],
    ["an empty folder of the image", () => mkdirSync(at("docker", "files"))],
    [
      "a link in place of a file",
      () => {
        rmSync(at("docker", "file"));
        symlinkSync("/etc/hosts", at("docker", "file"));
      },
    ],
    ["what is adopted", () => put(join(folder, ".gpubox", "adopted.json"), "{}")],
    ["the passphrase's file", () => put(join(folder, ".gpubox", "passphrase"), "other")],
    ["where Docker is", () => (env.DOCKER_HOST = "unix:///run/other.sock")],
    ["the proxy", () => (env.https_proxy = "http://proxy.example:3128")],
    ["where the state is", () => (env.PULUMI_BACKEND_URL = "file:///srv/state")],
    ["an engine on PATH", () => writeFileSync(join(bin, "pulumi"), "", { mode: 0o755 })],
    ["a plugin on PATH", () => writeFileSync(join(bin, "pulumi-resource-docker"), "", { mode: 0o755 })],
    ...PROGRAM.map((name): [string, () => void] => [
      name,
      () => appendFileSync(/\.\w+$/.test(name) ? at(name) : at(name, "file"), "# a comment\n"),
    ]),
  ] as [string, () => void][])("notices %s", (_, change) => {
    const before = hash();
    expect(before).toBeDefined();
    change();
    expect(hash()).not.toBe(before);
    expect(hash()).toBeDefined();
  });

  it.each([
    ["the stack's file", "Pulumi.dev.yaml", "another: key\n"],
    ["the file of requirements", "mine.txt", "kornia\n"],
  ])("notices a change in %s where that is a link to it", (_, name, line) => {
    const elsewhere = join(folder, "dotfiles", name);
    mkdirSync(dirname(elsewhere));
    renameSync(at(name), elsewhere);
    symlinkSync(elsewhere, at(name));
    const before = hash();
    expect(before).toBeDefined();
    appendFileSync(elsewhere, line);
    expect(hash()).toBeDefined();
    expect(hash()).not.toBe(before);
  });

  it("notices another engine in the place of one", () => {
    const engine = join(bin, "pulumi");
    writeFileSync(engine, "#!/bin/sh\n", { mode: 0o755 });
    const before = hash();
    appendFileSync(engine, "exit 1\n");
    expect(hash()).not.toBe(before);
  });

  describe.each([
    ["an image is pulled", ["gpubox:image:", "  pull: quay.io/someone/image:1"]],
    ["an image is pulled, written in short", ["gpubox:image: quay.io/someone/image:1"]],
  ])("where %s", (_, lines) => {
    const login = (text: string) => put(join(folder, ".docker", "config.json"), text);
    beforeEach(() => configure(...lines));

    it("notices another login", () => {
      login('{"auths": {"quay.io": {"auth": "YTpi"}}}');
      const before = hash();
      login('{"auths": {"quay.io": {"auth": "YTpj"}}}');
      expect(before).toBeDefined();
      expect(hash()).not.toBe(before);
    });

    it("is not certain where a helper has the login", () => {
      login('{"credsStore": "pass"}');
      expect(hash()).toBeUndefined();
    });
  });

  it("is not certain where the engine is to see the arguments, nor where there is too much to read", () => {
    expect(hash({ options: { refresh: true } })).toBeUndefined();
    expect(hash({ options: { target: "urn:…" } })).toBeUndefined();
    expect(hash({ names: ["container1"] })).toBeUndefined();
    expect(hash({ stack: "lab" })).toBeUndefined();
    writeFileSync(at("docker", "large"), Buffer.alloc(40 * 2 ** 20));
    expect(hash()).toBeUndefined();
  });
});

it("has every part of the checkout that a stack is made from", () => {
  const tracked = execFileSync("git", ["ls-files"], { cwd: ROOT, encoding: "utf8" }).trim().split("\n");
  const parts = new Set(tracked.map((path) => path.replace(/\/.*/, "")));
  const others = [...parts].filter((name) => !PROGRAM.includes(name) && !NOT_PART_OF_IT.test(name));
  expect(others).toEqual([]);
  expect(PROGRAM.filter((name) => !parts.has(name))).toEqual([]);
});
