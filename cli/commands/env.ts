/** `npm run env`: the set-up for a shell, so that plain `pulumi` works in this folder. */
import { quote } from "../../text/shell.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { prepareStack } from "../session.ts";
import type { Env } from "../system/run.ts";

export async function env(context: Context, args: Args): Promise<number> {
  const { additions } = await prepareStack(context, args);
  process.stdout.write(exports(additions));
  return 0;
}

/** The additions as lines for a POSIX shell. */
export function exports({ PATH, ...others }: Env): string {
  const lines = Object.entries(others).map(([name, value]) => `export ${name}=${quote(value ?? "")}`);
  return [`export PATH=${quote(PATH ?? "")}:"$PATH"`, ...lines, ""].join("\n");
}
