/** The documentation as its tests see it: pages, their blocks, and what each block of commands says of itself. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import GithubSlugger from "github-slugger";
import { lexer, type Token, type Tokens } from "marked";
import { ROOT } from "../../cli/context.ts";

/** A block of code on a page. */
export interface Block {
  /** Path of the page, below the project. */
  page: string;
  /** `sh` for commands, which indented blocks are as well; else as the fence says: `yaml`, `text`. */
  language: string;
  text: string;
  /** From a comment before it: the test that runs it, or why none does. */
  runBy?: string;
  notRun?: string;
  /** What a `text` block right after it says that it prints; `…` stands for anything. */
  prints?: string;
}

/** A page, taken apart. */
export interface Page {
  path: string;
  blocks: Block[];
  /** Everything in `…` within text. */
  inline: string[];
  /** First cells of the rows of tables whose first column has this heading. */
  column(heading: string): string[];
  /** Targets of links and pictures, as they stand there. */
  links: string[];
  /** What `#…` of a link may be. */
  anchors: Set<string>;
}

const MARK = /^<!-- (?:run by (?<runBy>\S+)|not run: (?<notRun>.+?)) -->/;

/** Pages about gpubox, in the order in which a person meets them. */
export function pagePaths(): string[] {
  const docs = readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" });
  const below = docs
    .filter((path) => path.endsWith(".md"))
    .map((path) => join("docs", path))
    .sort();
  return ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", ...below];
}

export function readPage(path: string): Page {
  const tokens = lexer(readFileSync(join(ROOT, path), "utf8"));
  const all = flat(tokens);
  const slugger = new GithubSlugger();
  const isOf = <T extends Token>(type: string) => all.filter((token): token is T => token.type === type);
  return {
    path,
    blocks: blocksOf(path, all),
    inline: isOf<Tokens.Codespan>("codespan").map(({ text }) => text),
    column: (heading) =>
      isOf<Tokens.Table>("table")
        .filter(({ header }) => header[0]?.text === heading)
        .flatMap(({ rows }) => rows.map((row) => row[0]?.text ?? "")),
    links: all.flatMap((token) => ("href" in token ? [String(token.href)] : [])),
    anchors: new Set(isOf<Tokens.Heading>("heading").map(({ text }) => slugger.slug(plain(text)))),
  };
}

/** Every token, those inside of others too, in reading order. */
function flat(tokens: Token[]): Token[] {
  return tokens.flatMap((token) => {
    const cells = token.type === "table" ? [...token.header, ...token.rows.flat()] : [];
    const inside = [
      ...("tokens" in token && token.tokens ? token.tokens : []),
      ...("items" in token ? token.items : []),
      ...cells.flatMap(({ tokens: inner }) => inner),
    ];
    return [token, ...flat(inside)];
  });
}

function blocksOf(page: string, tokens: Token[]): Block[] {
  const blocks: Block[] = [];
  let mark: Pick<Block, "runBy" | "notRun"> = {};
  let last: Block | undefined;
  for (const token of tokens) {
    if (token.type === "space") continue;
    if (token.type === "code") {
      const { lang, text } = token as Tokens.Code;
      const language = lang || "sh";
      if (language === "text" && last?.language === "sh") last.prints = text;
      last = { page, language, text, ...mark };
      blocks.push(last);
    } else {
      last = undefined;
    }
    mark = token.type === "html" ? (MARK.exec(token.raw)?.groups ?? {}) : {};
  }
  return blocks;
}

/** The text of a heading without its markup. */
const plain = (markdown: string) => markdown.replace(/[`*]/g, "").replace(/\[([^\]]*)\]\([^)]*\)/g, "$1");

/** Names of the npm scripts that a text calls. */
export function npmScripts(text: string): string[] {
  return [
    ...text.matchAll(/\bnpm (?:run (?:-s |--silent )?(?<run>[\w-]+(?::[\w-]+)*)|(?<short>start|test)\b)/g),
  ].map(({ groups }) => groups?.run ?? groups?.short ?? "");
}

/** A pattern for a text of the documentation in which `…` stands for what `gap` matches. */
export function patternOf(text: string, gap: string): string {
  const parts = text.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return parts.join(gap);
}
