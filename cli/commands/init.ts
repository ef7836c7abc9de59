/** `npm run init`: asks a few questions, or takes flags, and writes a new stack's file. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { readConfig } from "../../config/load.ts";
import { type Config, DEFAULT_ROOT } from "../../config/schema.ts";
import { hasStackFile, shortName, stackFile, stackNames } from "../../config/stack-file.ts";
import { UserError } from "../../errors.ts";
import { commandLine } from "../../text/command-line.ts";
import { shown } from "../../text/words.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { NEW_HOSTS } from "../hosts/new-stack.ts";
import { type Answers, freeNotebook, readBack, stackText } from "../stack-text.ts";
import { say } from "../ui/say.ts";

export async function init(context: Context, args: Args): Promise<number> {
  const { stack, isNamed } = args;
  const flags = readFlags(args);
  const named = isNamed ? shortName(stack) : undefined;
  // Before anything is asked.
  if (named !== undefined) requireFree(context.root, named, flags);
  const asks = context.interactive && flags.kind === undefined;
  const answers = asks ? await ask(await askKind(), flags) : takeFlags(flags);
  return write(context, named ?? freeName(context.root, NEW_HOSTS[answers.kind].stack, flags), answers);
}

/** @throws UserError where a stack has a file that is to stay */
function requireFree(root: string, name: string, { force }: Flags): void {
  if (force || !isTaken(root, name)) return;
  throw new UserError(
    `${stackFile(root, name)} is there already: take another name, as with \`${commandLine("init", "-s", freeName(root, name, {}))}\`, or overwrite it with --force`,
  );
}

/** The name that a stack gets by itself: the wanted one, with a number behind it where its file is to stay. */
function freeName(root: string, wanted: string, { force }: Flags): string {
  let [name, number] = [wanted, 1];
  while (!force && isTaken(root, name)) name = `${wanted}${++number}`;
  return name;
}

/** @throws UserError naming what is missing */
function takeFlags(flags: Flags): Answers {
  const { kind } = flags;
  if (kind !== undefined && !Object.hasOwn(NEW_HOSTS, kind)) {
    throw new UserError(`--kind must be ${Object.keys(NEW_HOSTS).join(", ")}, not ${shown(kind)}`);
  }
  const needed = kind === undefined ? (["kind"] as const) : required(kind);
  const absent = needed.filter((key) => flags[key] === undefined);
  if (kind === undefined || absent.length > 0) {
    const words = absent.map((key) => `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
    throw new UserError(`there is no terminal to ask at: say ${words.join(" and ")}`);
  }
  return { ...flags, kind };
}

/** Whether a stack has a file; one with nothing in it can go. */
function isTaken(root: string, name: string): boolean {
  const file = stackFile(root, name);
  return hasStackFile(root, name) && !(statSync(file, { throwIfNoEntry: false })?.isFile() && isEmpty(file));
}

const isEmpty = (file: string) => readFileSync(file, "utf8").trim() === "";

function write(context: Context, name: string, answers: Answers): number {
  const file = stackFile(context.root, name);
  const written = stackText(name, answers, freeNotebook(otherConfigs(context.root, name)));
  readBack(written, name);
  writeFileSync(file, written);
  say(
    `${file}: written. Look at it, then:\n  ${commandLine("doctor", "-s", name)}   # whether it can come up\n  ${commandLine("up", "-s", name)}`,
  );
  return 0;
}

/** What the other stacks of the checkout say; a file that is wrong says nothing yet. */
function otherConfigs(root: string, name: string): Config[] {
  const others = stackNames(root).filter((each) => each !== name);
  return others.flatMap((each) => {
    try {
      return [readConfig(root, each)];
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return [];
    }
  });
}

/** The keys of a host without which nothing can be written. */
const required = (kind: Answers["kind"]) =>
  NEW_HOSTS[kind].keys.flatMap(({ key, isRequired }) => (isRequired ? [key] : []));

const list = (of: string) => of.split(",").map((each) => each.trim());

type Flags = Partial<Answers> & { force?: boolean };

function readFlags({ options }: Args): Flags {
  const { "host-key": hostKey, "ssh-cidr": sshCidr, "instance-types": types, data, ...others } = options;
  const listed = (of: string | true | undefined) => (of === undefined ? undefined : list(String(of)));
  const flags = { ...others, hostKey, sshCidr, instanceTypes: listed(types), data: listed(data) };
  return Object.fromEntries(Object.entries(flags).filter(([, of]) => of !== undefined)) as Flags;
}

/** What is wrong with an answer, as soon as it is given; true where nothing is. */
function judge(answers: Answers): true | string {
  const needed = NEW_HOSTS[answers.kind].keys.filter(({ isRequired }) => isRequired);
  const rest = Object.fromEntries(needed.map(({ key, example }) => [key, example]));
  try {
    readBack(stackText("new", { ...rest, ...answers }), "new");
    return true;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.message;
  }
}

async function askKind(): Promise<Answers["kind"]> {
  // Slow to load, and needed only on a terminal.
  const { select } = await import("@inquirer/prompts");
  return await select<Answers["kind"]>({
    message: "Where is the GPU?",
    choices: Object.entries(NEW_HOSTS).map(([kind, { choice }]) => ({
      value: kind as Answers["kind"],
      name: choice,
    })),
  });
}

/** An answer as its key has it. */
const read = (key: keyof Answers, given: string) => (key === "instanceTypes" ? list(given) : given);

async function ask(kind: Answers["kind"], flags: Flags): Promise<Answers> {
  const wrong = judge({ ...flags, kind });
  if (wrong !== true) throw new UserError(wrong);
  const { checkbox, input, select } = await import("@inquirer/prompts");
  const answer = async (key: keyof Answers, message: string, offered?: string, isRequired = true) => {
    const validate = (given: string) =>
      (!isRequired && given === "") || judge({ kind, [key]: read(key, given) });
    const given = await input({ message, default: offered, required: isRequired, validate });
    return given === "" ? undefined : given;
  };
  const place: Partial<Answers> = {};
  for (const { key, ask, offered, isRequired } of NEW_HOSTS[kind].keys) {
    const given = ask && (await answer(key, ask, offered, isRequired || offered !== undefined));
    if (given) Object.assign(place, { [key]: read(key, given) });
  }
  const root = await answer("root", "Folder there for code and data:", DEFAULT_ROOT);
  const target = await select<"full" | "lab">({
    message: "What is in the image?",
    choices: [
      { value: "full", name: "PyTorch, fastai, what its course needs, and JupyterLab (some 8 GB)" },
      { value: "lab", name: "JupyterLab alone (under 1 GB)" },
    ],
  });
  const gpus = await select<"auto" | "all" | "none">({
    message: "Which GPUs?",
    choices: [
      { value: "auto", name: "those there are, else the CPU" },
      { value: "all", name: "all of them, and an error where there is none" },
      { value: "none", name: "none: the CPU" },
    ],
  });
  const data = await checkbox<string>({
    message: "Data sets to begin with? (space selects)",
    choices: ["mnist_sample", "pets", "imagenette_160", "imdb_sample"].map((set) => ({ value: set })),
  });
  return { ...flags, kind, ...place, root, target, gpus, data };
}
