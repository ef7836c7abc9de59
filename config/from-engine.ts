/** A stack's configuration as the engine hands it to the program. */
import { requirementsOf } from "./image.ts";
import { configError, KEYS, keyProblem, NAMESPACE } from "./messages.ts";
import { type Config, parseConfig, schema } from "./schema.ts";

/** The configuration of the stack that is being run. */
export interface ProgramConfig extends Config {
  /** Lines of the requirements file that the image names. */
  requirements: string[];
}

/**
 * Reads the configuration of the stack that is being run, with the files that it names.
 *
 * @param all what the engine hands the program, namespaces included
 * @throws UserError naming everything that is wrong with it
 */
export function readEngineConfig(stack: string, all: Record<string, string>): ProgramConfig {
  const foreign = Object.keys(all).flatMap((key) => keyProblem(key) ?? []);
  if (foreign.length > 0) throw configError(stack, foreign);
  const config = parseConfig(fromEngine(all), stack);
  return { ...config, requirements: requirementsOf(config.image, stack) };
}

/**
 * The keys of the namespace `gpubox`, from what the engine hands a program: structured values as JSON, and of a plain one its text
 * alone, so that 4 and "4" are the same. What can be either is a text.
 */
export function fromEngine(all: Record<string, string>): Record<string, unknown> {
  const prefix = `${NAMESPACE}:`;
  return Object.fromEntries(
    Object.entries(all).flatMap(([key, text]) =>
      key.startsWith(prefix) ? [[key.slice(prefix.length), decode(key.slice(prefix.length), text)]] : [],
    ),
  );
}

function decode(key: string, text: string): unknown {
  const value = parseJson(text);
  if (value === undefined || typeof value === "string") return text;
  const known = KEYS.find((each) => each === key);
  const isText =
    typeof value !== "object" && known !== undefined && schema.shape[known].safeParse(text).success;
  return isText ? text : value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
