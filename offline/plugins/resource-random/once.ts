import type { z } from "zod";
import type { CheckFailure } from "../shared/check.ts";
import { diffProperties } from "../shared/diff.ts";
import type { Resource } from "../shared/provider.ts";
import { type Properties, unknownValue } from "../shared/values.ts";

/** A random value: made once from its inputs, kept in the state, replaced when any of them changes. */
interface RandomValue<Inputs extends Properties> {
  schema: z.ZodType<Inputs>;
  check?: (inputs: Properties) => CheckFailure[];
  /** What inputs stand for when they are left out: a default that is written out is no change. */
  defaults: Properties | ((inputs: Properties) => Properties);
  /** The outputs of {@link make}, as they are at preview. */
  unknowns: Properties;
  make(inputs: Inputs): { id: string; made: Properties };
}

/** The resource behind a {@link RandomValue}. */
export function once<Inputs extends Properties>(value: RandomValue<Inputs>): Resource {
  const complete = (inputs: Properties): Properties => ({
    ...(typeof value.defaults === "function" ? value.defaults(inputs) : value.defaults),
    ...inputs,
  });
  return {
    schema: value.schema,
    check: value.check,
    diff: (_state, olds, news) => diffProperties(complete(olds), complete(news), () => true),
    async create(inputs, { preview }) {
      const outputs = complete(inputs);
      if (preview) return { id: unknownValue, outputs: { ...outputs, ...value.unknowns } };
      const { id, made } = value.make(outputs as Inputs);
      return { id, outputs: { ...outputs, ...made } };
    },
  };
}
