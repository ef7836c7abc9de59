/** The data program as a host is sent it. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type DataCommand, scriptText } from "../../machine/scripts.ts";

const COMMANDS: DataCommand[] = ["dataset", "s3", "code", "retire", "list_own"];
const FOLDER = new URL("../../host-scripts/gpubox_data/", import.meta.url);
const modules = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".py") && name !== "load.py")
  .map((name) => name.replace(/\.py$/, ""));

/** The modules that a command is sent, by their names. */
function sent(command: DataCommand): Record<string, string> {
  const text = scriptText(`gpubox_data/${command}.py`);
  const sources = /^sources='([\s\S]*?)'\n(?=parameters=)/m.exec(text)?.[1]?.replaceAll("'\\''", "'") ?? "";
  const parts = sources.split(/^# ==== gpubox_data\.?(\w*) ====\n/m).slice(1);
  return Object.fromEntries(
    Array.from({ length: parts.length / 2 }, (_, n) => [parts[2 * n] || "__init__", parts[2 * n + 1] ?? ""]),
  );
}

/** What a module does, without what only a reader of it sees. */
const MEANING = `
import ast, json, sys
def meaning(text):
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body[0].value = ast.Constant("")
    return ast.dump(tree)
print(json.dumps([meaning(text) for text in json.load(sys.stdin)]))
`;
const meanings = (texts: string[]): string[] =>
  JSON.parse(
    execFileSync("python3", ["-c", MEANING], {
      input: JSON.stringify(texts),
      encoding: "utf8",
      maxBuffer: 2 ** 28,
    }),
  );

describe("the text of a command", () => {
  const all = Object.assign({}, ...COMMANDS.map(sent)) as Record<string, string>;

  it("has every module of the program in one command or another", () => {
    expect(Object.keys(all).sort()).toEqual(modules.toSorted());
  });

  it("does what the modules do", () => {
    const names = Object.keys(all);
    const originals = names.map((name) => readFileSync(new URL(`${name}.py`, FOLDER), "utf8"));
    expect(meanings(names.map((name) => all[name] ?? ""))).toEqual(meanings(originals));
  });

  it("has no comments, of which a change would be one of every stack", () => {
    for (const text of Object.values(all)) expect(text).not.toMatch(/^ *#|"""/m);
  });

  it("has nothing of what another command alone takes", () => {
    expect(Object.keys(sent("dataset"))).not.toContain("git");
    expect(Object.keys(sent("code"))).not.toContain("download");
    expect(Object.keys(sent("retire"))).not.toContain("web");
  });
});
