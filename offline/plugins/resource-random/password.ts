import { randomInt } from "node:crypto";
import bcrypt from "bcryptjs";
import { z } from "zod";
import { diffProperties } from "../shared/diff.ts";
import type { Resource } from "../shared/provider.ts";
import { type Properties, secret, unknownValue } from "../shared/values.ts";

const characters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** What the official plugin has in the state of everything that no program changes. */
const defaults = {
  upper: true,
  lower: true,
  numeric: true,
  number: true,
  minUpper: 0,
  minLower: 0,
  minNumeric: 0,
  minSpecial: 0,
};

/** `random.RandomPassword`: letters and digits and their bcrypt hash, both secret; made once, replaced when an input changes. */
export const randomPassword: Resource = {
  schema: z.strictObject({
    length: z.int().min(1),
    special: z.literal(false, "must be false for the stand-in plugin"),
  }),
  // A default that is written out is no change.
  diff: (_state, olds, news) =>
    diffProperties({ ...defaults, ...olds }, { ...defaults, ...news }, () => true),
  async create(inputs, { preview }) {
    const outputs: Properties = { ...defaults, ...inputs };
    if (preview)
      return { id: unknownValue, outputs: { ...outputs, result: unknownValue, bcryptHash: unknownValue } };
    const result = password(Number(inputs.length));
    return {
      id: "none",
      outputs: { ...outputs, result: secret(result), bcryptHash: secret(bcrypt.hashSync(result, 10)) },
    };
  },
};

/** Letters and digits, each as likely as any other in every place. */
export function password(length: number): string {
  return Array.from({ length }, () => characters[randomInt(characters.length)]).join("");
}
