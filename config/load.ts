/** A stack's whole configuration, from its file, checked as the program checks it. Takes the schema, which stack-file.ts does without. */
import { type ConfigFile, readConfigFile } from "./document.ts";
import { fromEngine } from "./from-engine.ts";
import { requirementsOf } from "./image.ts";
import { configError, NAMESPACE } from "./messages.ts";
import { type Config, checkConfig } from "./schema.ts";
import { readStackFile, shortName } from "./stack-file.ts";

/** @throws UserError when there is no such file, or naming everything that is wrong with it */
export function readConfig(root: string, stack: string): Config {
  const file = readStackFile(root, stack);
  return judge(file, shortName(stack));
}

/** The same, and the files that it names were looked at: for those who are about to use them. */
export function readWholeConfig(root: string, stack: string): Config {
  const config = readConfig(root, stack);
  requirementsOf(config.image, shortName(stack));
  return config;
}

/** What the program makes of the text of a stack's file. @throws UserError naming everything that is wrong with it */
export function parseConfigFile(bytes: Uint8Array, stack: string): Config {
  return judge(readConfigFile(bytes, stack), stack);
}

function judge({ raw, secrets, problems, located }: ConfigFile, stack: string): Config {
  const checked = checkConfig(fromEngine(handedOver(raw)));
  const all = [...problems, ...(checked.problems ?? []).map((line) => located(ofSecret(line, secrets)))];
  if (all.length > 0 || !checked.config) throw configError(stack, all);
  return checked.config;
}

/** What the engine hands a program of a configuration: a text for each key. */
function handedOver(raw: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(raw).map(([key, value]) => [
      `${NAMESPACE}:${key}`,
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  );
}

/** What is wrong with a secret is that it is one. */
function ofSecret(line: string, secrets: string[]): string {
  const secret = secrets.find((at) => line.startsWith(`${at}: `));
  return secret === undefined
    ? line
    : `${secret}: cannot be a secret; the values of a notebook's \`environment\` can`;
}
