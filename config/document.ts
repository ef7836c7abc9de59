/** Reading a stack's file, `Pulumi.<stack>.yaml`: strict about the whole of it, so that nothing in it goes unseen. Pure. */
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
} from "yaml";
import type { UserError } from "../errors.ts";
import { commandLine } from "../text/command-line.ts";
import { nearest, shown, visible } from "../text/words.ts";
import { configError, KEYS, keyProblem, NAMESPACE, TOP_KEYS } from "./messages.ts";
import { explainFault } from "./yaml-faults.ts";

/** A stack's file, its values not checked yet. */
export interface ConfigFile {
  /** All of it as plain values, secrets as they are encrypted: for the engine, which then reads what was read here. */
  whole: Record<string, unknown>;
  /** What it says of our keys, without their namespace. Secrets are empty texts. */
  raw: Record<string, unknown>;
  /** The places of secrets, as messages name them. */
  secrets: string[];
  /** What is wrong with it apart from the values of our keys, a line each. */
  problems: string[];
  /** A line about a key of ours, which it begins with, as in `gpubox:notebooks[0].prot: …`; with where that is in front of it. */
  located(problem: string): string;
}

const TOO_DEEP = "it is nested too deeply to be read";

type Values = Record<string, unknown>;

const isValues = (value: unknown): value is Values =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What a value is, for people. */
function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "nothing" : `only ${JSON.stringify(String(value).slice(0, 40))}`;
}

/**
 * Reads a stack's file.
 *
 * @param bytes what is in it
 * @param stack name of the stack, without its organization
 * @throws UserError where it is nothing that has keys
 */
export function readConfigFile(bytes: Uint8Array, stack: string): ConfigFile {
  const name = `Pulumi.${stack}.yaml`;
  const refuse = (...problems: string[]) => configError(stack, problems);
  const lines = new LineCounter();
  const text = decode(bytes);
  if (text === undefined) throw refuse(`${name}:1: is not UTF-8 text`);
  const invalid = (why: string) => refuse(`${name} is not valid YAML: ${why}`);
  // The library would say on its own of a key that is a list.
  const options = { lineCounter: lines, prettyErrors: false, logLevel: "error" } as const;
  const document = deep(() => parseDocument(text, options), invalid);
  const lineOf = (offset: number | undefined) => lines.linePos(offset ?? 0).line || 1;
  // A warning is of a tag that nobody here knows, whose value would be a guess.
  const [fault] = [...document.errors, ...document.warnings];
  if (fault) {
    const at = lineOf(fault.pos[0]);
    const own = explain(fault);
    if (own) throw invalid(`line ${at}: ${own}`);
    const { line, words } = explainFault(fault, text, at - 1);
    throw invalid(`line ${line}: ${words.split("\n").map(visible).join("\n")}`);
  }
  const odd = deep(() => oddKey(document), invalid);
  if (odd) throw invalid(`line ${lineOf(odd.offset)}: ${odd.why}`);

  const whole = deep(() => plain(() => document.toJS(), invalid), invalid);
  if (whole === null) {
    throw refuse(
      document.comment || document.commentBefore
        ? `${name}:1: is empty but for comments: for the defaults alone, write "config: {}" below them; \`${commandLine("init", "-s", stack, "--force")}\` writes a new one in its place`
        : `${name}:1: is empty: \`${commandLine("init", "-s", stack)}\` writes one; for the defaults alone, write "config: {}"`,
    );
  }
  if (!isValues(whole)) throw refuse(`${name}:1: must begin with "config:", but holds ${kindOf(whole)}`);

  /** Where a key is, from the top. */
  const at = (...path: string[]) => `${name}:${lineOf(keyOffset(document.contents, path))}: `;
  const { config = {} } = whole;
  const keys = isValues(config) ? Object.keys(config) : [];
  const secrets: string[] = [];
  const problems = [
    ...Object.keys(whole).flatMap((key) => topProblem(key, whole[key]).map((problem) => at(key) + problem)),
    ...keys.flatMap((key) => {
      const problem = keyProblem(key);
      return problem === undefined ? [] : [at("config", key) + problem];
    }),
  ];
  const prefix = `${NAMESPACE}:`;
  const own = keys.filter((key) => key.startsWith(prefix) && keyProblem(key) === undefined);
  const values = config as Values;
  const raw = Object.fromEntries(
    own.map((key) => [key.slice(prefix.length), withoutSecrets(values[key], key, secrets)]),
  );
  const located = (problem: string) => {
    const [, key = "", rest = ""] = /^(\w+:\w+)((?:\.[^.[\]:]+|\[\d+\])*)/.exec(problem) ?? [];
    const path = rest.split(/[.[\]]+/).filter(Boolean);
    const notebook = key === `${NAMESPACE}:notebooks` ? nameAt(raw.notebooks, path[0]) : "";
    return `${name}:${lineOf(keyOffset(document.contents, ["config", key, ...path]))}${notebook}: ${problem}`;
  };
  return { whole, raw, secrets, problems, located };
}

/** What a notebook is called, for a message about it. */
function nameAt(notebooks: unknown, index: string | undefined): string {
  const named = Array.isArray(notebooks) ? notebooks[Number(index)]?.name : undefined;
  return typeof named === "string" && named !== "" ? ` (notebook ${named})` : "";
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** What the parser says of what it alone knows. */
function explain({ code, message }: { code: string; message: string }): string | undefined {
  if (code === "MULTIPLE_DOCS") return "there is one document in a stack's file, and none after `---`";
  return message.startsWith("Maximum call stack size exceeded") ? TOO_DEEP : undefined;
}

type Invalid = (why: string) => UserError;

/** What goes into something as deep as it is. */
function deep<T>(look: () => T, invalid: Invalid): T {
  try {
    return look();
  } catch (error) {
    throw error instanceof RangeError ? invalid(TOO_DEEP) : error;
  }
}

/** A key that is no text, or stands for other keys. */
function oddKey(document: Document): { why: string; offset: number | undefined } | undefined {
  let found: ReturnType<typeof oddKey>;
  visit(document, {
    Pair(_, { key }) {
      const offset = (key as Node | null)?.range?.[0];
      const is = isAlias(key) ? key.resolve(document) : key;
      if (isCollection(is))
        found = { why: `a key is a text, and not ${isMap(is) ? "keys" : "a list"}`, offset };
      if (isScalar(key) && key.value === "<<" && key.type === "PLAIN")
        found = { why: "merging by `<<` is not in YAML 1.2: write out the keys that it stands for", offset };
      return found ? visit.BREAK : undefined;
    },
  });
  return found;
}

/** Plain values as JSON can hold them, which is what the engine is given. */
function plain(read: () => unknown, invalid: Invalid): unknown {
  try {
    return JSON.parse(JSON.stringify(read()));
  } catch (error) {
    if (error instanceof RangeError) throw error;
    throw invalid(
      /^Excessive alias count/.test((error as Error).message)
        ? "its aliases, as in *name, expand to more than can be read: write out what they stand for"
        : "an alias, as in *name, refers to nothing or to itself",
    );
  }
}

/** Where the key, or the entry of a list, at the end of a path is in the text; what is around it where it is not there. */
function keyOffset(node: unknown, [first, ...rest]: string[]): number | undefined {
  if (first === undefined) return undefined;
  if (isSeq(node)) {
    const item = node.items[Number(first)];
    return keyOffset(item, rest) ?? (item as Node | undefined)?.range?.[0];
  }
  if (!isMap(node)) return undefined;
  const pair = node.items.find(({ key }) => (isScalar(key) ? String(key.value) : String(key)) === first);
  return pair && (keyOffset(pair.value, rest) ?? (pair.key as Node).range?.[0]);
}

/** What is wrong with a key at the top of the file. */
function topProblem(key: string, value: unknown): string[] {
  if (!TOP_KEYS.includes(key)) {
    const meant = key.includes(":") ? undefined : nearest(key, TOP_KEYS);
    if (meant !== undefined) return [`${shown(key)}: there is no such key; did you mean "${meant}"?`];
    const below = key.startsWith(`${NAMESPACE}:`) || KEYS.some((each) => each === key);
    return [
      below
        ? `${shown(key)}: belongs below "config:", indented`
        : `${shown(key)}: there is no such key; there is ${TOP_KEYS.join(", ")}; what belongs to a key above it is indented`,
    ];
  }
  const [, tight] = /^(\w+:\w+):\S/.exec(String(value)) ?? [];
  if (key === "config" && tight)
    return [`${tight}: there is no space after the colon: write \`${tight}: …\``];
  if (key === "config" && value !== null && !isValues(value))
    return [`config: must hold keys like "${NAMESPACE}:root", and holds ${kindOf(value)}`];
  if (!["config", "environment"].includes(key) && typeof value !== "string")
    return [`${shown(key)}: must be a text, as Pulumi wrote it`];
  return [];
}

/** A secret is some text, which is all that is to be known of it here. Their places are added to `secrets`. */
function withoutSecrets(value: unknown, at: string, secrets: string[]): unknown {
  if (Array.isArray(value))
    return value.map((each, index) => withoutSecrets(each, `${at}[${index}]`, secrets));
  if (!isValues(value)) return value;
  const entries = Object.entries(value);
  if (entries.length === 1 && typeof value.secure === "string") {
    secrets.push(at);
    return "";
  }
  return Object.fromEntries(
    entries.map(([key, inner]) => [key, withoutSecrets(inner, `${at}.${key}`, secrets)]),
  );
}
