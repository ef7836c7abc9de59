/** The arguments of `npm run test:soak`. */
import { parseArgs } from "node:util";
import { UserError } from "../../errors.ts";

export interface SoakArgs {
  /** Minutes after which nothing further is begun; what is at work then is finished. Unbounded by default. */
  minutes: number;
  /** Seed of all random numbers; undefined for that of the run that is gone on with, or a new one. */
  seed: number | undefined;
  /** What the names of the files to run hold; all files by default. */
  files: string[];
}

const USAGE = `npm run test:soak -- [--minutes 30] [--seed 1234] [FILE…]
  --minutes  begin nothing further after so long; the next run goes on where this one was
  --seed     begin anew, with these random numbers
  FILE       only the campaigns whose file names hold one of these words`;

/** @throws UserError that shows what can be given */
export function parseSoakArgs(args: string[]): SoakArgs {
  const { values, positionals } = parsed(args);
  const minutes = values.minutes === undefined ? Number.POSITIVE_INFINITY : Number(values.minutes);
  if (!(minutes > 0)) throw wrong(`--minutes ${values.minutes}`);
  const seed = values.seed === undefined ? undefined : Number(values.seed);
  if (seed !== undefined && !(Number.isInteger(seed) && seed >= 0)) throw wrong(`--seed ${values.seed}`);
  return { minutes, seed, files: positionals };
}

function parsed(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: { minutes: { type: "string" }, seed: { type: "string" } },
    });
  } catch (error) {
    throw wrong((error as Error).message);
  }
}

const wrong = (what: string) => new UserError(`test:soak: ${what}\n${USAGE}`);
