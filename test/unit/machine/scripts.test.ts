import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { scriptText } from "../../../machine/scripts.ts";

const file = (name: string) =>
  fileURLToPath(new URL(`../../../host-scripts/gpubox_data/${name}.py`, import.meta.url));
const COMMANDS = ["code", "list_own", "retire", "s3"];

describe.each(COMMANDS)("the text of the data program's command %s", (command) => {
  const text = scriptText(`gpubox_data/${command}.py`);
  const modules = [...text.matchAll(/# ==== gpubox_data\.(\w+) ====$/gm)].map(([, name]) => name as string);

  it("has every module that is imported, wherever and however", () => {
    expect(modules).toContain(command);
    for (const module of modules) {
      const source = readFileSync(file(module), "utf8");
      const imported = [...source.matchAll(/^\s*from \.(\w*) import\s+\(?([^)\n]*)/gm)].flatMap(
        ([, from, names]) => (from ? [from] : (names ?? "").split(",").map((name) => name.trim())),
      );
      for (const name of imported.filter((each) => existsSync(file(each)))) expect(modules).toContain(name);
    }
  });

  it("names the parameters for a container", () => {
    const [, parameters = ""] = /^parameters='([A-Z0-9_ ]+)'$/m.exec(text) ?? [];
    expect(parameters.split(" ")).toEqual(expect.arrayContaining(["HOME", "ROOT"]));
    if (command === "code")
      expect(parameters.split(" ")).toEqual(expect.arrayContaining(["REF", "URL", "UPDATE"]));
  });
});

it("a host's script has what it takes in from beside it", () => {
  expect(scriptText("inspect.sh")).not.toMatch(/^\. \.\//m);
  expect(scriptText("inspect.sh")).toContain("has_tool()");
});
