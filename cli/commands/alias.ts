/** `npm run alias`: prints the alias `fastai` for a shell, and writes it nowhere. */
import { shellLine } from "../../text/shell.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";

export async function alias(context: Context, args: Args): Promise<number> {
  process.stdout.write(`${aliasLines(context.root, args.stack)}\n`);
  return 0;
}

/** For sh, bash and zsh: brings the stack up where it is not, and gives a shell in its first notebook. */
export function aliasLines(root: string, stack: string): string {
  const npm = (...words: string[]) => shellLine(["npm", "--prefix", root, "run", "--silent", ...words]);
  const command = `${npm("start", "--", "-s", stack)} && ${npm("shell", "--", "-s", stack)}`;
  return [
    "# fastai: the notebook's shell. To keep it, append these lines to ~/.bashrc",
    `alias fastai=${shellLine([command])}`,
  ].join("\n");
}
