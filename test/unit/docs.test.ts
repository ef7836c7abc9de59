/** What the documentation says is there, is there. That its commands work is tested in test/e2e/docs.test.ts. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { ROOT } from "../../cli/context.ts";
import { parseConfig } from "../../config/schema.ts";
import { type Block, npmScripts, pagePaths, patternOf, readPage } from "../support/docs.ts";

const pages = pagePaths().map(readPage);
const blocks = pages.flatMap((page) => page.blocks);
const commands = blocks.filter(({ language }) => language === "sh");
const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
const titled = (block: Block) => `${block.page}: ${block.text.split("\n")[0]}`;

it("every link leads somewhere", () => {
  const broken = pages.flatMap(({ path, links }) =>
    links
      .filter((link) => !/^https?:/.test(link))
      .filter((link) => {
        const [file = "", anchor] = link.split("#");
        const target = file ? relative(ROOT, join(ROOT, dirname(path), file)) : path;
        if (!existsSync(join(ROOT, target))) return true;
        return anchor !== undefined && !pages.find((page) => page.path === target)?.anchors.has(anchor);
      })
      .map((link) => `${path}: ${link}`),
  );
  expect(broken).toEqual([]);
});

it("every page is reached from the README", () => {
  const reached = new Set(["README.md"]);
  for (const path of reached) {
    const page = pages.find((each) => each.path === path);
    for (const link of page?.links ?? [])
      reached.add(relative(ROOT, join(ROOT, dirname(path), link.split("#")[0] ?? "")));
  }
  expect(pagePaths().filter((path) => !reached.has(path) && !path.startsWith("docs/adr/"))).toEqual([]);
});

it("every npm script that is named exists, and every one is on the page of commands", () => {
  const named = pages.flatMap(({ path, inline, blocks: own }) =>
    [...inline, ...own.map(({ text }) => text)].flatMap(npmScripts).map((script) => ({ path, script })),
  );
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter(({ script }) => !(script in scripts))).toEqual([]);
  const onThePage = commands
    .filter(({ page }) => page === "docs/commands.md")
    .flatMap(({ text }) => npmScripts(text));
  expect(Object.keys(scripts).filter((script) => !onThePage.includes(script))).toEqual([]);
});

it("a block that another test is said to run is run there", () => {
  const marked = commands.filter(({ runBy }) => runBy);
  expect(marked.length).toBeGreaterThan(0);
  for (const block of marked) {
    const test = readFileSync(join(ROOT, block.runBy ?? ""), "utf8");
    for (const script of npmScripts(block.text))
      expect(test, titled(block)).toMatch(new RegExp(`\\b${script}\\b`, "i"));
  }
});

it("every block of configuration is accepted", () => {
  const yaml = blocks.filter(({ language }) => language === "yaml");
  expect(yaml.length).toBeGreaterThan(8);
  for (const block of yaml) {
    const read = parse(block.text);
    const raw = Object.entries(read.config ?? read).map(([key, value]) => [
      key.replace(/^gpubox:/, ""),
      value,
    ]);
    // What a person is to fill in, and what another block of the page has.
    const filled = JSON.parse(
      JSON.stringify(Object.fromEntries(raw)).replaceAll("AAAA…", `AAAA${"C".repeat(64)}`),
    );
    if (filled.host?.dataVolume)
      Object.assign(filled.host, { kind: "aws", region: "us-east-1", sshCidr: "mine" });
    expect(() => parseConfig(filled, "dev"), titled(block)).not.toThrow();
  }
});

it("every key of the configuration is in the table", () => {
  const [page] = pages.filter(({ path }) => path === "docs/configuration.md");
  // `host.address`, `.user`: the second is short for `host.user`.
  const named = (page?.column("key") ?? []).flatMap((cell) => {
    const [first = "", ...others] = [...cell.matchAll(/`([^`]+)`/g)].map(([, key]) => key ?? "");
    return [first, ...others.map((key) => (key.startsWith(".") ? first.replace(/\.[^.]*$/, "") + key : key))];
  });
  const covered = (key: string) =>
    named.some((name) => key === name || key.startsWith(`${name}.`) || key.startsWith(`${name}[`));
  expect(schemaKeys().filter((key) => !covered(key))).toEqual([]);
});

/** Keys of the schema that hold a value: `notebooks[].gpus`. */
function schemaKeys(): string[] {
  const { properties } = JSON.parse(readFileSync(join(ROOT, "schema", "stack.json"), "utf8"));
  interface Schema {
    properties?: Record<string, Schema>;
    items?: Schema;
    oneOf?: Schema[];
    anyOf?: Schema[];
  }
  const walk = (schema: Schema, at: string): string[] => {
    const inner = [
      ...Object.entries(schema.properties ?? {}).flatMap(([key, each]) =>
        walk(each, at ? `${at}.${key}` : key),
      ),
      ...(schema.items ? walk(schema.items, `${at}[]`) : []),
      ...[...(schema.oneOf ?? []), ...(schema.anyOf ?? [])].flatMap((each) => walk(each, at)),
    ];
    return inner.length > 0 ? inner : [at];
  };
  const keys = Object.entries(properties.config.properties as Record<string, Schema>).flatMap(
    ([key, schema]) => walk(schema, key.replace(/^gpubox:/, "")),
  );
  expect(keys).toContain("notebooks[].gpus");
  return [...new Set(keys)];
}

/** Messages that Pulumi prints, not gpubox. */
const PULUMIS = ["the stack is currently locked", "passphrase must be set"];

it("every message that is explained is one that can be printed", () => {
  const source = sources();
  const messages = pages
    .flatMap((page) => page.column("message"))
    .flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text ?? ""))
    .filter((message) => !PULUMIS.includes(message));
  expect(messages.length).toBeGreaterThan(50);
  const unknown = messages.filter(
    (message) => !new RegExp(patternOf(message, "[^\\n]{0,200}?")).test(source),
  );
  expect(unknown).toEqual([]);
});

/** Everything that prints something, with the holes of its templates as `…`. */
function sources(): string {
  const folders = [
    "cli",
    "components",
    "config",
    "docker",
    "host-scripts",
    "machine",
    "program",
    "scripts",
  ].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((path) => join(folder, path)),
  );
  return folders
    .filter((path) => /\.(ts|mjs|sh|py)$|\bbin\/./.test(path))
    .map((path) =>
      readFileSync(join(ROOT, path), "utf8").replace(/\$\{[^{}]*\}|\{[\w.]+\}|\$\([^()]*\)|\$\w+/g, "…"),
    )
    .join("\n");
}
