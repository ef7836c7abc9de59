/** A stack's file as a whole: whatever is in it, each command and the program read the same, or refuse it with the same words. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { findChecks } from "../../../cli/checks.ts";
import { createContext, ROOT } from "../../../cli/context.ts";
import { useCopy } from "../../../cli/pulumi/stack.ts";
import { runCommand } from "../../../cli/run-command.ts";
import { prepareStack } from "../../../cli/session.ts";
import { fromEngine } from "../../../config/from-engine.ts";
import { parseConfigFile, readConfig } from "../../../config/load.ts";
import { KEYS } from "../../../config/messages.ts";
import { type Config, parseConfig, stackJsonSchema } from "../../../config/schema.ts";
import { readStack } from "../../../config/stack-file.ts";
import { UserError } from "../../../errors.ts";

const root = mkdtempSync(join(tmpdir(), "gpubox-file-"));
const write = (content: string | Uint8Array) => writeFileSync(join(root, "Pulumi.lab.yaml"), content);
beforeEach(() => writeFileSync(join(root, "Pulumi.yaml"), "name: gpubox\n"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const refusal = (read: () => unknown): string | undefined => {
  try {
    read();
    return undefined;
  } catch (error) {
    // Only a UserError is told without a stack trace.
    expect(error).toBeInstanceOf(UserError);
    return (error as UserError).message;
  }
};

describe("what is no stack's file", () => {
  const file = join(root, "Pulumi.lab.yaml");
  const told = () => refusal(() => readStack(root, "lab"));
  beforeEach(() => rmSync(file, { recursive: true, force: true }));
  afterAll(() => rmSync(file, { recursive: true, force: true }));

  it("is a folder", () => {
    mkdirSync(file);
    expect(told()).toBe(`${file} cannot be read: it is a folder`);
  });

  it("is a pipe, which is not waited for", () => {
    execFileSync("mkfifo", [file]);
    expect(told()).toBe(`${file} cannot be read: it is not a regular file`);
  });

  it("is a link to nothing, which `init` does not follow either", async () => {
    symlinkSync(join(root, "none"), file);
    expect(told()).toBe(
      `${file} cannot be read: it is a link to ${join(root, "none")}, which does not exist`,
    );
    const context = { ...createContext({ HOME: root }, root), interactive: false };
    await expect(runCommand("init", ["-s", "lab", "--kind", "local"], context)).rejects.toThrow(
      "is there already",
    );
    expect(existsSync(join(root, "none"))).toBe(false);
  });

  it("is a link to itself", () => {
    symlinkSync(file, file);
    expect(told()).toBe(`${file} cannot be read: its links form a loop`);
  });

  it.skipIf(process.getuid?.() !== 0)("is one that a person may not read", () => {
    write("config: {}\n");
    chmodSync(file, 0o600);
    chmodSync(root, 0o755);
    const program = `
      process.setuid(65534);
      const { readStack } = await import(${JSON.stringify(join(ROOT, "config/stack-file.ts"))});
      try { readStack(${JSON.stringify(root)}, "lab"); } catch ({ message }) { console.log(message); }`;
    const said = execFileSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
    expect(said).toBe(`${file} cannot be read: permission denied: \`ls -l ${file}\` shows its owner\n`);
  });
});

describe("a stack's file that is wrong", () => {
  it.each<[name: string, content: string | Uint8Array, line: string]>([
    [
      "a misspelt config",
      "# mine\nconfg:\n  gpubox:root: /x\n",
      'Pulumi.lab.yaml:2: confg: there is no such key; did you mean "config"?',
    ],
    [
      "a key at the top",
      "gpubox:root: /x\nconfig: {}\n",
      'Pulumi.lab.yaml:1: gpubox:root: belongs below "config:", indented',
    ],
    [
      "a stranger at the top",
      "config: {}\ncolour: red\n",
      "Pulumi.lab.yaml:2: colour: there is no such key; there is config, environment",
    ],
    [
      "a key without its prefix",
      "config:\n  root: /x\n",
      'Pulumi.lab.yaml:2: root: there is no such key; did you mean "gpubox:root"?',
    ],
    [
      "a misspelt key without its prefix",
      "config:\n  notebook: []\n",
      'Pulumi.lab.yaml:2: notebook: there is no such key; did you mean "gpubox:notebooks"?',
    ],
    [
      "a misspelt prefix",
      "config:\n  gpubx:rot: /x\n",
      'Pulumi.lab.yaml:2: gpubx:rot: there is no such key; did you mean "gpubox:root"?',
    ],
    [
      "Pulumi's older prefix",
      "config:\n  gpubox:config:root: /x\n",
      'Pulumi.lab.yaml:2: gpubox:config:root: is written "gpubox:root"',
    ],
    [
      "three parts",
      "config:\n  gpubox:host:kind: ssh\n",
      "Pulumi.lab.yaml:2: gpubox:host:kind: there is no such key",
    ],
    [
      "a misspelt key",
      "config:\n  gpubox:hots: {kind: ssh}\n",
      'gpubox:hots: there is no such key; did you mean "host"?',
    ],
    ["a misspelt kind", "config:\n  gpubox:host: {knd: ssh}\n", "gpubox:host.kind: "],
    ["a host that is a word", "config:\n  gpubox:host: ssh\n", "gpubox:host"],
    ["a host that is nothing", "config:\n  gpubox:host:\n", "gpubox:host"],
    [
      "a list for config",
      "config: []\n",
      'Pulumi.lab.yaml:1: config: must hold keys like "gpubox:root", and holds a list',
    ],
    [
      "a text for config",
      "config: dev\n",
      'Pulumi.lab.yaml:1: config: must hold keys like "gpubox:root", and holds only "dev"',
    ],
    ["a list", "- config\n", 'Pulumi.lab.yaml:1: must begin with "config:", but holds a list'],
    ["a text", "hello\n", 'Pulumi.lab.yaml:1: must begin with "config:", but holds only "hello"'],
    ["nothing", "", "Pulumi.lab.yaml:1: is empty"],
    ["a comment", "# config:\n", "Pulumi.lab.yaml:1: is empty"],
    ["no YAML", "config:\n  gpubox:root: [\n", "Pulumi.lab.yaml is not valid YAML: line 3: "],
    ["a tab", "config:\n\tgpubox:root: /x\n", "Pulumi.lab.yaml is not valid YAML: line 2: "],
    [
      "one key twice",
      "config:\n  gpubox:root: /x\n  gpubox:root: /y\n",
      "Pulumi.lab.yaml is not valid YAML: line 3: ",
    ],
    [
      "two documents",
      "config: {}\n---\nconfig: {}\n",
      "Pulumi.lab.yaml is not valid YAML: line 2: there is one document",
    ],
    ["an unknown tag", "config:\n  gpubox:root: !path /x\n", "Pulumi.lab.yaml is not valid YAML: line 2: "],
    [
      "an alias of nothing",
      "config:\n  gpubox:root: *there\n",
      "Pulumi.lab.yaml is not valid YAML: an alias",
    ],
    ["itself in itself", "config: &all\n  gpubox:root: *all\n", "Pulumi.lab.yaml is not valid YAML: "],
    [
      "a bomb of aliases",
      `config:\n  x:a0: &a0 [1,1,1,1,1,1,1,1,1]\n${[1, 2, 3, 4, 5].map((at) => `  x:a${at}: &a${at} [${`*a${at - 1},`.repeat(9)}]\n`).join("")}`,
      "Pulumi.lab.yaml is not valid YAML: its aliases, as in *name, expand to more than can be read",
    ],
    [
      "five thousand lists",
      `config:\n  gpubox:data: ${"[".repeat(5000)}${"]".repeat(5000)}\n`,
      "Pulumi.lab.yaml is not valid YAML: line 2: it is nested too deeply to be read",
    ],
    ["the same, unfinished", "[".repeat(5000), "Pulumi.lab.yaml is not valid YAML: "],
    [
      "a list for a key",
      "config:\n  ? [a, b]\n  : 1\n",
      "Pulumi.lab.yaml is not valid YAML: line 2: a key is a text, and not a list",
    ],
    [
      "keys for a key",
      "config:\n  gpubox:image:\n    {a: b}: 1\n",
      "Pulumi.lab.yaml is not valid YAML: line 3: a key is a text, and not keys",
    ],
    [
      "a list for a key, by an alias",
      "config:\n  x:y: &list [a]\n  *list : 1\n",
      "Pulumi.lab.yaml is not valid YAML: line 3: a key is a text, and not a list",
    ],
    [
      "a merge",
      "config:\n  gpubox:image: &image {target: lab}\n  gpubox:notebooks:\n    - <<: *image\n",
      "Pulumi.lab.yaml is not valid YAML: line 4: merging by `<<` is not in YAML 1.2",
    ],
    [
      "what a terminal would do, for a key",
      'config:\n  "gpubox:a\\e[31m\\nb": 1\n',
      'gpubox:"a\\u001b[31m\\nb": there is no such key',
    ],
    [
      "the same without its namespace",
      'config:\n  "a\\e[31m": 1\n',
      'Pulumi.lab.yaml:2: "a\\u001b[31m": there is no such key',
    ],
    [
      "the same at the top",
      'config: {}\n"a\\u009b": 1\n',
      'Pulumi.lab.yaml:2: "a\\u009b": there is no such key',
    ],
    [
      "random bytes",
      Uint8Array.from({ length: 64 }, (_, at) => (at * 151 + 200) % 256),
      "Pulumi.lab.yaml:1: is not UTF-8 text",
    ],
    ["UTF-16", Buffer.from("\ufeffconfig: {}\n", "utf16le"), "Pulumi.lab.yaml:1: is not UTF-8 text"],
    [
      "a salt that is a list",
      "config: {}\nencryptionsalt: []\n",
      "Pulumi.lab.yaml:2: encryptionsalt: must be a text",
    ],
  ])("(%s) is refused by doctor, and by every command before anything is made", async (_, content, line) => {
    write(content);
    const context = createContext({ HOME: root, PATH: process.env.PATH }, root);
    const [told, ...more] = await findChecks(context, "lab");
    expect(more).toEqual([]);
    expect(told).toMatchObject({ check: "configuration", status: "fail" });
    expect(told?.problem).toContain(line);
    expect(told?.problem).toContain("nothing was created");
    const checked = refusal(() => readConfig(root, "lab"));
    expect(checked).toBe(told?.problem);
    // `stop`, `open` and their like need no more than where the stack is.
    expect(refusal(() => readStack(root, "lab"))).toMatch(
      line.startsWith("gpubox:host") ? /gpubox:host/ : line.slice(0, 40),
    );
    await expect(prepareStack(context, { stack: "lab", rest: [] })).rejects.toThrow(told?.problem);
  });

  it.each<[name: string, content: string, told: RegExp]>([
    [
      "no space after a colon",
      "config:\n  gpubox:root:/srv\n  gpubox:connections: 3\n",
      /line 2: there is no space after the colon: write `gpubox:root: …`\n +gpubox:root:\/srv$/m,
    ],
    [
      "no space after the only colon",
      "config:\n  gpubox:root:/srv\n",
      /:1: gpubox:root: there is no space after the colon: write `gpubox:root: …`$/m,
    ],
    [
      "no space after a colon further in",
      "config:\n  gpubox:notebooks:\n    - name:lesson1\n      port: 8888\n",
      /line 3: there is no space after the colon: write `name: …`\n +- name:lesson1$/m,
    ],
    [
      "a space within the key",
      "config:\n  gpubox: notebooks:\n    - name: lesson1\n",
      /line 2: there is a space within the key: write `gpubox:notebooks:`\n +gpubox: notebooks:$/m,
    ],
    [
      "a key at the margin",
      "config:\n  gpubox:notebooks:\n    - name: lesson1\nport: 8888\n",
      /:4: port: there is no such key; there is config, .*; what belongs to a key above it is indented$/m,
    ],
    [
      "one space too few",
      "config:\n  gpubox:notebooks:\n    - name: lesson1\n     # a comment\n\n     port: 8888\n",
      /line 6: its key begins in column 6, and that of the line above in column 7: keys that belong together begin in the same column\n +port: 8888$/m,
    ],
    [
      "one space too many",
      "config:\n  gpubox:root: /srv\n   gpubox:connections: 3\n",
      /line 3: its key begins in column 4, and that of the line above in column 3: .*\n +gpubox:connections: 3$/m,
    ],
    [
      "no space after a dash",
      "config:\n  gpubox:notebooks:\n    -name: lesson1\n      port: 8888\n",
      /line 3: there is no space after the dash: write `- name:`/,
    ],
    [
      "a tab",
      "config:\n\tgpubox:root: /x\n",
      /line 2: it begins with a tab: YAML is indented with spaces only$/m,
    ],
    [
      "a quote that is open",
      "config:\n  gpubox:root: '/srv\n  gpubox:connections: 3\n",
      /line 2: a ' is opened and not closed\n +gpubox:root: '\/srv$/m,
    ],
    [
      "a misspelt key of a notebook",
      "config:\n  gpubox:notebooks:\n    - name: lesson1\n    - name: lesson2\n      prot: 8888\n",
      /^ +Pulumi\.lab\.yaml:5 \(notebook lesson2\): gpubox:notebooks\[1\]\.prot: there is no such key; did you mean "port"\?$/m,
    ],
    [
      "a key that is missing, at what it is missing from",
      "config:\n  gpubox:notebooks:\n    # one\n    - gpus: none\n",
      /Pulumi\.lab\.yaml:4: gpubox:notebooks\[0\]\.name: is missing/,
    ],
  ])("(%s) is told in plain words, with the line", (_, content, told) => {
    write(content);
    const refused = refusal(() => readConfig(root, "lab"));
    expect(refused).toMatch(told);
    expect(refused).not.toMatch(/[Ii]mplicit|compact mapping|indicator|mapping items/);
  });

  it("does not show what a notebook has in its environment", () => {
    write(
      "config:\n  gpubox:notebooks:\n    - name: nb\n      environment:\n        KEY: canary\n         OTHER: canary\n",
    );
    const refused = refusal(() => readConfig(root, "lab"));
    expect(refused).toMatch(/line 6: [\s\S]*OTHER: …$/m);
    expect(refused).not.toContain("canary");
  });

  it("has everything that is wrong with it told at once", () => {
    write("confg: {}\nconfig:\n  root: /x\n  gpubox:conections: 3\n  gpubox:root: x\n");
    expect(refusal(() => readConfig(root, "lab"))).toMatch(
      /4 problems[\s\S]*:1: confg[\s\S]*:3: root[\s\S]*gpubox:root: must be absolute[\s\S]*"connections"/,
    );
  });

  it.each([
    [
      "the machine cannot be read",
      "config:\n  gpubox:root: {secure: v1:abc}\n",
      "gpubox:root: cannot be a secret",
    ],
    [
      "a name cannot be read",
      "config:\n  gpubox:notebooks: [{name: {secure: v1:abc}}]\n",
      "gpubox:notebooks[0].name: cannot be a secret",
    ],
  ])("because %s by anybody else, as it is a secret, is refused", (_, content, line) => {
    write(content);
    expect(refusal(() => readConfig(root, "lab"))).toContain(line);
  });
});

describe("a stack's file that is right", () => {
  it.each([
    [
      "with what Pulumi itself has in it",
      "encryptionsalt: v1:abc\nsecretsprovider: passphrase\nencryptedkey: abc\nenvironment: [a]\nconfig:\n  aws:region: eu-central-1\n  docker:host: unix:///x\n  pulumi:tags: {a: b}\n  other:config:key: 1\n",
    ],
    ["that leaves everything to the defaults", "config: {}\n"],
    ["whose keys are all comments", "config:\n  # gpubox:root: /x\n"],
    ["that only has the salt", "encryptionsalt: v1:abc\n"],
    ["with a byte order mark", "\ufeffconfig: {}\n"],
    ["with the line ends of Windows", "config:\r\n  gpubox:connections: 16\r\n"],
  ])("(%s) is read", (_, content) => {
    write(content);
    expect(readConfig(root, "lab")).toEqual(parseConfig({}, "lab"));
    expect(readStack(root, "lab").host).toBe("local");
  });

  it("may have secrets in a notebook's environment", () => {
    write("config:\n  gpubox:notebooks: [{name: nb, environment: {KEY: {secure: v1:abc}}}]\n");
    expect(readConfig(root, "lab").notebooks[0]?.environment).toEqual({ KEY: "" });
  });

  it("is taken by editors, and what is refused is not", () => {
    const editors = z.fromJSONSchema(stackJsonSchema() as never);
    const takes = (value: unknown) => editors.safeParse(value).success;
    expect(takes({ config: { "gpubox:root": "/x", "aws:region": "x" }, encryptionsalt: "v1:abc" })).toBe(
      true,
    );
    expect(takes({ config: null })).toBe(true);
    for (const bad of [{ confg: {} }, { config: { root: "/x" } }, { config: [] }])
      expect(takes(bad)).toBe(false);
  });
});

// --- doctor and run agree ---------------------------------------------------------------------------------------------

/** What the engine hands the program of a file, by its own rules: `object.MarshalString` in sdk/go/common/resource/config. */
function handedOver(file: string): Record<string, string> {
  const { config } = JSON.parse(file) as { config?: Record<string, unknown> | null };
  return Object.fromEntries(
    Object.entries(config ?? {}).map(([key, value]) => [
      key,
      typeof value === "string" ? value : JSON.stringify(decrypted(value)),
    ]),
  );
}

const decrypted = (value: unknown): unknown => {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(decrypted);
  const entries = Object.entries(value);
  if (entries.length === 1 && typeof entries[0]?.[1] === "string" && entries[0][0] === "secure")
    return "secret";
  return Object.fromEntries(entries.map(([key, inner]) => [key, decrypted(inner)]));
};

/** What became of a configuration: it, or undefined where it was refused in words. */
function verdict(read: () => Config): Config | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return undefined;
  }
}

/** Secrets are not known before the run. */
const withoutEnvironment = (config: Config | undefined) =>
  config && { ...config, notebooks: config.notebooks.map((notebook) => ({ ...notebook, environment: {} })) };

/** Words as people write them into YAML, where each tool reads some in its own way. */
const word = fc.oneof(
  fc.constantFrom(
    ...[
      "/srv",
      "~/x",
      "yes",
      "null",
      "~",
      "010",
      "0o17",
      "1_000",
      "12e3",
      "1.10",
      "2024-05-01",
      "[a]",
      "16",
      '"16"',
      "'4'",
      "lab",
      "!x y",
    ],
    ...[
      "{kind: local}",
      "{kind: ssh, address: h}",
      "{target: lab}",
      "[{name: nb}]",
      "[{name: nb, port: 010000}]",
      "{secure: v1:a}",
      "<<",
      "*a",
      "",
    ],
    "[{url: 'https://h/x.git', ref: 2024-05-01}]",
  ),
  fc.string({ maxLength: 8 }),
);
const line = fc
  .tuple(fc.constantFrom("gpubox:", "", "gpubx:", "aws:"), fc.constantFrom(...KEYS, "rot"), word)
  .map(([prefix, key, value]) => `  ${prefix}${key}: ${value}`);
const file = fc
  .tuple(
    fc.constantFrom("config:", "config:", "config:", "confg:", "config: []", ""),
    fc.array(line, { maxLength: 4 }),
  )
  .map(([top, lines]) => [top, ...lines, ""].join("\n"));

describe("doctor and the run", () => {
  const context = createContext({ HOME: root, GPUBOX_CACHE: join(root, "cache") }, root);

  it("agree on any file", () => {
    let used = 0;
    fc.assert(
      fc.property(fc.oneof({ arbitrary: file, weight: 4 }, fc.string().map(String)), (text) => {
        write(text);
        const doctors = verdict(() => readConfig(root, "lab"));
        const program = verdict(() => {
          const [, copy] = useCopy(context, "lab", []);
          return parseConfig(fromEngine(handedOver(readFileSync(copy as string, "utf8"))), "lab");
        });
        if (doctors !== undefined) {
          used++;
          expect(withoutEnvironment(program)).toEqual(withoutEnvironment(doctors));
        }
        // What is refused here does not get as far as the program; where it would refuse, so does doctor.
        if (program === undefined) expect(doctors).toBeUndefined();
      }),
      { numRuns: 600 },
    );
    expect(used).toBeGreaterThan(25);
  });

  it("agree on any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const read = verdict(() => parseConfigFile(bytes, "lab"));
        if (read !== undefined) expect(read).toEqual(parseConfig({}, "lab"));
      }),
      { numRuns: 600 },
    );
  });

  it("agree that a number is one, and that a tag may be a date", () => {
    write("config:\n  gpubox:connections: 4\n  gpubox:code: [{url: 'https://h/x.git', ref: 2024-05-01}]\n");
    const { connections, code } = readConfig(root, "lab");
    expect({ connections, ref: code[0]?.ref }).toEqual({ connections: 4, ref: "2024-05-01" });
    const [, copy] = useCopy(context, "lab", []);
    expect(parseConfig(fromEngine(handedOver(readFileSync(copy as string, "utf8"))), "lab")).toEqual(
      readConfig(root, "lab"),
    );
  });
});
