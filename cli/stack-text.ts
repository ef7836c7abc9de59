/** The text of a new stack's file, from what its person answered. Pure. */

import type { HostConfig } from "../config/host/index.ts";
import { parseConfigFile } from "../config/load.ts";
import { type Config, DEFAULT_ROOT } from "../config/schema.ts";
import { type HostAnswers, NEW_HOSTS } from "./hosts/new-stack.ts";

/** What a person says of a new stack; what is left out is at its default. */
export interface Answers extends HostAnswers {
  kind: HostConfig["kind"];
  root?: string;
  target?: "full" | "lab";
  gpus?: "auto" | "all" | "none";
  /** Names of the catalogue. */
  data?: string[];
}

/** A value as YAML has it: a plain word as it is, and everything else as JSON, which is YAML. */
const value = (of: unknown) =>
  typeof of === "string" && /^[a-z~][\w./~-]*$/i.test(of) && !/^(true|false|null|yes|no|on|off|~)$/i.test(of)
    ? of
    : JSON.stringify(of);

/** `key: value`, or the same as a comment where nothing was said. */
const line = (key: string, of: unknown, example: string) =>
  of === undefined ? `    # ${key}: ${example}` : `    ${key}: ${value(of)}`;

function hostLines(answers: Answers): string[] {
  const { keys, comments } = NEW_HOSTS[answers.kind];
  return [
    `    kind: ${answers.kind}`,
    ...keys.flatMap(({ key, comment, example }) => [
      ...(comment === undefined ? [] : [`    # ${comment}`]),
      line(key, answers[key], example),
    ]),
    ...comments.map((comment) => `    # ${comment}`),
  ];
}

/** A notebook's name and port. */
export type NotebookPlace = Pick<Config["notebooks"][number], "name" | "port">;

/** The first name and the first port that no other stack has: two that are up side by side would want the same. */
export function freeNotebook(others: Pick<Config, "notebooks">[]): NotebookPlace {
  const taken = others.flatMap(({ notebooks }) => notebooks);
  let [index, port] = [1, 8888];
  while (taken.some(({ name }) => name === `container${index}`)) index++;
  while (taken.some((each) => each.port === port)) port++;
  return { name: `container${index}`, port };
}

/** The file of a stack. */
export function stackText(
  name: string,
  answers: Answers,
  notebook: NotebookPlace = freeNotebook([]),
): string {
  const { root = DEFAULT_ROOT, target = "full", gpus = "auto", data = [] } = answers;
  return `${[
    "# yaml-language-server: $schema=./schema/stack.json",
    `# Stack ${name}: ${NEW_HOSTS[answers.kind].where}. docs/configuration.md has the table of keys.`,
    "config:",
    "  gpubox:host:",
    ...hostLines(answers),
    "  # Holds code/ and data/ there, which the notebooks see as /code and /data.",
    `  gpubox:root: ${value(root)}`,
    "  # full has torch and fastai, lab only JupyterLab; or the reference of an image to pull.",
    "  gpubox:image:",
    `    target: ${value(target)}`,
    "  gpubox:notebooks:",
    "    # auto: the GPUs there are, else the CPU; all: every GPU, and an error where there is none; none: the CPU.",
    `    - name: ${value(notebook.name)}`,
    `      gpus: ${value(gpus)}`,
    `      port: ${notebook.port}`,
    "  # Names of the catalogue, docs/data.md, or urls.",
    ...(data.length > 0
      ? ["  gpubox:data:", ...data.map((set) => `    - ${value(set)}`)]
      : ["  # gpubox:data: [pets]"]),
    "  # Git repositories, at a commit, tag or branch.",
    "  # gpubox:code:",
    "  #   - url: https://github.com/fastai/fastbook.git",
    "  #     ref: master",
  ].join("\n")}\n`;
}

/** What the program makes of a stack's file. @throws ConfigError naming every bad key */
export function readBack(text: string, name: string): Config {
  return parseConfigFile(Buffer.from(text), name);
}
