/** `npm run init`: asks a few questions, or takes flags, and writes a new stack's file. */
import { writeFileSync } from "node:fs";
import { npmLine } from "../../components/host/shell.ts";
import { ConfigError, DEFAULT_ROOT } from "../../config.ts";
import { shown } from "../../config-errors.ts";
import type { Args } from "../args.ts";
import type { Context } from "../context.ts";
import { type Answers, REQUIRED, readBack, stackText } from "../init.ts";
import { Problem, say } from "../say.ts";
import { hasStackFile, shortName, stackFile } from "../setup/stack.ts";

export async function init(context: Context, args: Args): Promise<number> {
  const { stack, isNamed } = args;
  const flags = readFlags(args);
  const asks = context.interactive && flags.kind === undefined;
  const answers = asks ? await ask(flags) : (flags as Answers & typeof flags);
  if (answers.kind !== undefined && !Object.hasOwn(NAMES, answers.kind)) {
    throw new Problem(`--kind must be ${Object.keys(NAMES).join(", ")}, not ${shown(answers.kind)}`);
  }
  const missing = answers.kind === undefined ? (["kind"] as const) : (REQUIRED[answers.kind] ?? []);
  const absent = missing.filter((key) => (answers as Partial<Answers>)[key] === undefined);
  if (absent.length > 0) {
    const needed = absent.map((key) => `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
    throw new Problem(`there is no terminal to ask at: say ${needed.join(" and ")}`);
  }
  const name = shortName(isNamed ? stack : (NAMES[answers.kind] ?? stack));
  const file = stackFile(context.root, name);
  if (hasStackFile(context.root, name) && !flags.force) {
    throw new Problem(
      `${file} is there already: take another name with \`${npmLine("init", "-s", "NAME")}\`, or overwrite it with --force`,
    );
  }
  const written = stackText(name, answers);
  try {
    readBack(written, name);
  } catch (error) {
    if (error instanceof ConfigError) throw new Problem(error.message);
    throw error;
  }
  writeFileSync(file, written);
  say(
    `${file}: written. Look at it, then:\n  ${npmLine("doctor", "-s", name)}   # whether it can come up\n  ${npmLine("start", "-s", name)}`,
  );
  return 0;
}

/** What a stack is called that is given no name. */
const NAMES: Record<Answers["kind"], string> = { local: "dev", ssh: "lab", aws: "aws" };

type Flags = Partial<Answers> & { force?: boolean };

function readFlags({ options }: Args): Flags {
  const { "host-key": hostKey, "ssh-cidr": sshCidr, "instance-types": types, data, ...others } = options;
  const list = (of: string | true | undefined) =>
    (of as string | undefined)?.split(",").map((each) => each.trim());
  const flags = { ...others, hostKey, sshCidr, instanceTypes: list(types), data: list(data) };
  return Object.fromEntries(Object.entries(flags).filter(([, of]) => of !== undefined)) as Flags;
}

async function ask(flags: Flags): Promise<Answers & Flags> {
  // Slow to load, and needed only here.
  const { checkbox, input, select } = await import("@inquirer/prompts");
  const kind = await select<Answers["kind"]>({
    message: "Where is the GPU?",
    choices: [
      { value: "local", name: "on this machine" },
      { value: "ssh", name: "on a machine that I reach by SSH" },
      { value: "aws", name: "on AWS: a machine that is made for it, and costs money" },
    ],
  });
  const optional = async (message: string) => (await input({ message })) || undefined;
  const required = (message: string, byDefault?: string) =>
    input({ message, default: byDefault, required: true });
  const place: Partial<Answers> =
    kind === "ssh"
      ? {
          address: await required("Its name or address, or a Host of your ~/.ssh/config:"),
          user: await optional("Who you are there (empty: as your ssh has it):"),
        }
      : kind === "aws"
        ? {
            region: await required("Region:", "us-east-1"),
            sshCidr: await required("Network that may reach SSH, or mine:", "mine"),
            instanceTypes: (await required("Types, the best first:", "g6.xlarge, g5.xlarge, g4dn.xlarge"))
              .split(",")
              .map((each) => each.trim()),
          }
        : {};
  const root = await required("Folder there for code and data:", DEFAULT_ROOT);
  const target = await select<"full" | "lab">({
    message: "What is in the image?",
    choices: [
      { value: "full", name: "PyTorch, fastai and JupyterLab (some 9 GB)" },
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
