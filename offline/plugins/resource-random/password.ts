import { randomInt } from "node:crypto";
import bcrypt from "bcryptjs";
import { z } from "zod";
import type { CheckFailure } from "../shared/check.ts";
import { type Properties, secret, unknownValue } from "../shared/values.ts";
import { keepers, positive } from "./inputs.ts";
import { once } from "./once.ts";

const classes = {
  upper: "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
  lower: "abcdefghijklmnopqrstuvwxyz",
  numeric: "0123456789",
  special: "!@#$%&*()-_=+[]{}<>:?",
};

const flag = z.boolean().optional();
const minimum = z.int().min(0).optional();
const schema = z.strictObject({
  length: positive,
  upper: flag,
  minUpper: minimum,
  lower: flag,
  minLower: minimum,
  numeric: flag,
  /** The old name of `numeric`. */
  number: flag,
  minNumeric: minimum,
  special: flag,
  minSpecial: minimum,
  overrideSpecial: z.string().optional(),
  keepers,
});

/** The inputs of a password, with their defaults. */
export type PasswordInputs = z.infer<typeof schema>;

/** `random.RandomPassword`: random characters and their bcrypt hash, both secret. */
export const randomPassword = once<PasswordInputs>({
  schema,
  check,
  defaults(inputs) {
    const numeric = inputs.numeric ?? inputs.number ?? true;
    const minimums = { minUpper: 0, minLower: 0, minNumeric: 0, minSpecial: 0 };
    return { upper: true, lower: true, special: true, numeric, number: numeric, ...minimums };
  },
  unknowns: { result: unknownValue, bcryptHash: unknownValue },
  make(inputs) {
    const result = password(inputs);
    return { id: "none", made: { result: secret(result), bcryptHash: secret(bcrypt.hashSync(result, 10)) } };
  },
});

function check(inputs: Properties): CheckFailure[] {
  const { length, numeric, number, upper, lower, special } = inputs;
  const failures: CheckFailure[] = [];
  const minimums = [inputs.minUpper, inputs.minLower, inputs.minNumeric, inputs.minSpecial];
  const sum = minimums.reduce<number>((total, each) => total + (typeof each === "number" ? each : 0), 0);
  if (typeof length === "number" && length < sum)
    failures.push({
      property: "length",
      reason: `must be at least minUpper + minLower + minNumeric + minSpecial (${sum})`,
    });
  if (typeof numeric === "boolean" && typeof number === "boolean" && numeric !== number)
    failures.push({ property: "number", reason: "is the old name of numeric, and says the opposite of it" });
  if ([upper, lower, special, numeric ?? number].every((each) => each === false))
    failures.push({
      property: "numeric",
      reason: "one of upper, lower, numeric and special at least must be true",
    });
  return failures;
}

/** A password with the minimum of each class, the rest from all classes asked for, in random order. */
export function password(inputs: PasswordInputs): string {
  const characters = { ...classes, special: inputs.overrideSpecial || classes.special };
  const all = (Object.keys(classes) as (keyof typeof classes)[])
    .filter((name) => inputs[name])
    .map((name) => characters[name])
    .join("");
  const chosen = [
    ...pick(characters.upper, inputs.minUpper ?? 0),
    ...pick(characters.lower, inputs.minLower ?? 0),
    ...pick(characters.numeric, inputs.minNumeric ?? 0),
    ...pick(characters.special, inputs.minSpecial ?? 0),
  ];
  return shuffle([...chosen, ...pick(all, inputs.length - chosen.length)]).join("");
}

function pick(from: string, count: number): string[] {
  const characters = [...from];
  return Array.from({ length: count }, () => characters[randomInt(characters.length)] as string);
}

/** Fisher and Yates: every order is as likely as any other. */
function shuffle<T>(items: T[]): T[] {
  for (let last = items.length - 1; last > 0; last--) {
    const other = randomInt(last + 1);
    [items[last], items[other]] = [items[other] as T, items[last] as T];
  }
  return items;
}
