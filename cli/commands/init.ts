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
import { type Answers, freeNotebook, REQUIRED, readBack, stackText } from "../stack-text.ts";
import { say } from "../ui/say.ts";

export async function init(context: Context, args: Args): Promise<number> {
  const { stack, isNamed } = args;
  const flags = readFlags(args);
  const named = isNamed ? shortName(stack) : undefined;
  // Before anything is asked.
  if (named !== undefined) requireFree(context.root, named, flags);
  const asks = context.interactive && flags.kind === undefined;
  const answers = asks ? await ask(await askKind(), flags) : takeFlags(flags);
  return write(context, named ?? freeName(context.root, NAMES[answers.kind], flags), answers);
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
  if (kind !== undefined && !Object.hasOwn(NAMES, kind)) {
    throw new UserError(`--kind must be ${Object.keys(NAMES).join(", ")}, not ${shown(kind)}`);
  }
  const needed = kind === undefined ? (["kind"] as const) : REQUIRED[kind];
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

/** What a stack is called that is given no name. */
const NAMES: Record<Answers["kind"], string> = { local: "dev", ssh: "lab", aws: "aws" };

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
  const needed = { address: "x", region: "us-east-1", sshCidr: "mine" };
  const rest = Object.fromEntries(REQUIRED[answers.kind].map((key) => [key, Object(needed)[key]]));
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
    choices: [
      { value: "local", name: "on this machine" },
      { value: "ssh", name: "on a machine that I reach by SSH" },
      { value: "aws", name: "on AWS: a machine that is made for it, and costs money" },
    ],
  });
}

async function ask(kind: Answers["kind"], flags: Flags): Promise<Answers> {
  const wrong = judge({ ...flags, kind });
  if (wrong !== true) throw new UserError(wrong);
  const { checkbox, input, select } = await import("@inquirer/prompts");
  const optional = async (message: string) => (await input({ message })) || undefined;
  const required = (key: keyof Answers, message: string, byDefault?: string) =>
    input({
      message,
      default: byDefault,
      required: true,
      validate: (given) => judge({ kind, [key]: key === "instanceTypes" ? list(given) : given }),
    });
  const place: Partial<Answers> =
    kind === "ssh"
      ? {
          address: await required("address", "Its name or address, or a Host of your ~/.ssh/config:"),
          user: await optional("Who you are there (empty: as your ssh has it):"),
        }
      : kind === "aws"
        ? {
            region: await required("region", "Region:", "us-east-1"),
            sshCidr: await required("sshCidr", "Network that may reach SSH, or mine:", "mine"),
            instanceTypes: list(
              await required("instanceTypes", "Types, the best first:", "g6.xlarge, g5.xlarge, g4dn.xlarge"),
            ),
          }
        : {};
  const root = await required("root", "Folder there for code and data:", DEFAULT_ROOT);
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
