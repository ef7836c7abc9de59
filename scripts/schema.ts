/** `npm run schema`: writes the JSON schema of the stack files; with `--check`, only compares. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Args } from "../cli/args.ts";
import type { Context } from "../cli/context.ts";
import { say } from "../cli/ui/say.ts";
import { UserError } from "../errors.ts";

export async function schema(context: Context, args: Args): Promise<number> {
  await writeSchema(context, args.options.check === true);
  return 0;
}

/** @param only whether it is looked at alone. @throws UserError where it is not what config.ts says then */
export async function writeSchema({ root }: Context, only: boolean): Promise<void> {
  const file = join(root, "schema", "stack.json");
  // Loads Pulumi's SDK, which no other command needs.
  const { stackJsonSchema } = await import("../config/schema.ts");
  const text = `${JSON.stringify(stackJsonSchema(), null, 2)}\n`;
  if (only) {
    if (readOrEmpty(file) === text) return;
    throw new UserError("schema/stack.json is not what config.ts says: run `npm run schema` and commit it");
  }
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  say("schema/stack.json: written");
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
