import type { z } from "zod";
import { type Properties, propertyPath, unknownValue, type Value } from "./values.ts";

/** One thing that is wrong with the inputs of a resource: which property, and why. */
export interface CheckFailure {
  property: string;
  reason: string;
}

/**
 * Everything in `inputs` that the schema does not allow. Schemas are strict objects: a property that the stand-in
 * does not know is a failure that names it, never ignored. A value that is not known yet passes.
 */
export function checkProperties(schema: z.ZodType, inputs: Properties): CheckFailure[] {
  const { error } = schema.safeParse(inputs);
  return (error?.issues ?? [])
    .filter((issue) => !isUnknownAt(inputs, issue.path))
    .flatMap((issue) =>
      issue.code === "unrecognized_keys"
        ? issue.keys.map((key) => ({
            property: propertyPath([...issue.path, key]),
            reason: "this property is not supported by the stand-in plugin; the official one may know it",
          }))
        : [{ property: propertyPath(issue.path), reason: issue.message }],
    );
}

function isUnknownAt(inputs: Properties, path: readonly PropertyKey[]): boolean {
  let value: Value | undefined = inputs;
  for (const step of path) {
    if (typeof value !== "object" || value === null) break;
    value = (value as Record<PropertyKey, Value>)[step];
  }
  return value === unknownValue;
}
