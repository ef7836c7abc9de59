/** The arguments of `npm run bench`. */
import { parseArgs } from "node:util";
import { UserError } from "../errors.ts";

export interface BenchArgs {
  /** Numbers of the measurements to make. */
  only: ReadonlySet<number>;
  rounds: number;
  /** Part of the full data set. */
  scale: number;
  /** Whether the measurements take the place of those in the last published run. */
  merge: boolean;
  /** Whether only the page and the plot are made anew, from the last published run. */
  docs: boolean;
}

/** Every measurement there is. */
export const ALL: readonly number[] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

const USAGE = `npm run bench -- [--only 1,3] [--rounds 5] [--scale 1] [--merge] [--docs]
  --only    the measurements to make, by number
  --rounds  rounds of each
  --scale   part of the full data set, for a quick look
  --merge   put what is measured into the published figures
  --docs    measure nothing: make docs/performance.md and its plot from the published figures`;

/** @throws UserError that shows what can be given */
export function parseBenchArgs(args: string[]): BenchArgs {
  const { only, rounds, scale, merge, docs } = values(args);
  const parsed = {
    only: new Set(only === undefined ? ALL : only.split(",").map(Number)),
    rounds: Number(rounds),
    scale: Number(scale),
    merge,
    docs,
  };
  if (![...parsed.only].every((number) => ALL.includes(number))) throw wrong(`--only ${only}`);
  if (!Number.isInteger(parsed.rounds) || parsed.rounds < 1) throw wrong(`--rounds ${rounds}`);
  if (!(parsed.scale > 0 && parsed.scale <= 1)) throw wrong(`--scale ${scale}`);
  if (merge && parsed.scale !== 1)
    throw wrong("--merge with --scale: published figures are of the full data set");
  return parsed;
}

function values(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        only: { type: "string" },
        rounds: { type: "string", default: "5" },
        scale: { type: "string", default: "1" },
        merge: { type: "boolean", default: false },
        docs: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw wrong((error as Error).message);
  }
}

const wrong = (what: string) => new UserError(`bench: ${what}\n${USAGE}`);
