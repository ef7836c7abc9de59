/** `npm run schema`: writes the JSON schema of the stack files; with `--check`, only compares. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Context } from "../context.ts";
import { Problem, say } from "../say.ts";

export async function schema({ root }: Context, args: string[]): Promise<number> {
  const file = join(root, "schema", "stack.json");
  // Loads Pulumi's SDK, which no other command needs.
  const { stackJsonSchema } = await import("../../config.ts");
  const text = `${JSON.stringify(stackJsonSchema(), null, 2)}\n`;
  if (args.includes("--check")) {
    if (readOrEmpty(file) === text) return 0;
    throw new Problem("schema/stack.json is not what config.ts says: run `npm run schema` and commit it");
  }
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  say("schema/stack.json: written");
  return 0;
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
