/** `npm run docs`: writes the tables of commands in the pages; with `--check`, only compares. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { synopsis } from "../cli/args.ts";
import { PRODUCT } from "../cli/commands.ts";
import type { Context } from "../cli/context.ts";
import type { Program, Run } from "../cli/program.ts";
import { say } from "../cli/ui/say.ts";
import { UserError } from "../errors.ts";
import { npmLine } from "../text/command-line.ts";

/** The command, for these commands and those of the product. */
export function docs(development: Program): Run {
  return async (context, args) => {
    writeDocs(context, development, args.options.check === true);
    return 0;
  };
}

/** What a page has between these two is made of the commands. */
const BEGIN = "<!-- made by npm run docs -->\n\n";
const END = "\n\n<!-- end of what is made -->";

/** The tables, by the pages that have them. */
const TABLES: Record<string, (development: Program) => string> = {
  "docs/commands.md": productTable,
  "CONTRIBUTING.md": developmentTable,
};

/** @param only whether they are looked at alone. @throws UserError where one is not what the commands say then */
export function writeDocs({ root }: Pick<Context, "root">, development: Program, only: boolean): void {
  for (const [page, table] of Object.entries(TABLES)) {
    const file = join(root, page);
    const before = readFileSync(file, "utf8");
    const after = withTable(before, table(development));
    if (after === before) continue;
    if (only)
      throw new UserError(
        `${page} has a table that is not what the commands say: run \`npm run docs\` and commit it`,
      );
    writeFileSync(file, after);
    say(`${page}: written`);
  }
}

/** A page with another table. */
export function withTable(page: string, table: string): string {
  const [before = "", rest = ""] = page.split(BEGIN);
  const end = rest.indexOf(END);
  if (end < 0) throw new Error(`a page lacks its marks: ${BEGIN.trim()} and ${END.trim()}`);
  return `${before}${BEGIN}${table}${rest.slice(end)}`;
}

function productTable(): string {
  const { name, commands } = PRODUCT;
  return rows(
    ["npm", name, "takes", "what it does"],
    Object.entries(commands).map(([command, takes]) => [
      code(npmLine(command)),
      code(`${name} ${command}`),
      code(synopsis(takes)),
      takes.does,
    ]),
  );
}

function developmentTable({ commands }: Program): string {
  return rows(
    ["command", "takes", "what it does"],
    Object.entries(commands).map(([command, takes]) => [
      code(npmLine(command)),
      code(synopsis(takes)),
      takes.does,
    ]),
  );
}

const code = (text: string) => (text ? `\`${text}\`` : "");

const rows = (head: string[], body: string[][]) =>
  [head, head.map(() => "---"), ...body].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
