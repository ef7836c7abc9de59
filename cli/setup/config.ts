/** A stack's whole configuration, checked as the program checks it. Loads Pulumi's SDK: for those who can wait. */
import { readFileSync } from "node:fs";
import { parseDocument } from "yaml";
import { type Config, ConfigError, parseConfig } from "../../config.ts";
import { Problem } from "../say.ts";
import { noSuchFile, shortName, stackFile } from "./stack.ts";

/** What makes a value one that only the engine can read. */
const isSecret = (value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  ("secure" in value ? typeof value.secure === "string" : Object.values(value).some(isSecret));

/** @throws Problem when there is no such file, it is no YAML, or the program would refuse it */
export function readConfig(root: string, stack: string): Config {
  const file = stackFile(root, stack);
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    throw noSuchFile(root, stack, file);
  }
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error) throw new Problem(`${file} is not valid YAML: ${error.message}`);
  const entries = Object.entries((document.toJS()?.config ?? {}) as Record<string, unknown>);
  const raw = entries.flatMap(([key, value]) =>
    key.startsWith("gpubox:") ? [[key.slice("gpubox:".length), clear(value)]] : [],
  );
  try {
    return parseConfig(Object.fromEntries(raw), shortName(stack));
  } catch (problem) {
    throw problem instanceof ConfigError ? new Problem(problem.message) : problem;
  }
}

/** A secret is some text, which is all that is to be known of it here. */
function clear(value: unknown): unknown {
  if (!isSecret(value)) return value;
  if (typeof (value as { secure?: unknown }).secure === "string") return "";
  if (Array.isArray(value)) return value.map(clear);
  return Object.fromEntries(Object.entries(value as object).map(([key, inner]) => [key, clear(inner)]));
}
