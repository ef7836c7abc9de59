import { isDeepStrictEqual } from "node:util";
import { isObject, type Properties, propertyPath, type Value, withoutNotes } from "./values.ts";

/** What happened to one property, nested ones included. */
export type Change = "add" | "delete" | "update";

/** What changed between two sets of inputs, by path (`environment.HOME`, `triggers[0]`), and what has to be done. */
export interface Diff {
  changes: ReadonlyMap<string, Change>;
  /** Top-level properties that cannot be changed in place: their resource is replaced. */
  replaces: readonly string[];
  /** Delete the old resource first, instead of the engine's create-then-delete. */
  deleteBeforeReplace?: boolean;
}

/** Compares inputs, property by property. `replaces` says which top-level properties cannot be changed in place. */
export function diffProperties(
  olds: Properties,
  news: Properties,
  replaces: (property: string) => boolean,
): Diff {
  const changes = new Map<string, Change>();
  const replaced = new Set<string>();
  const record = (steps: PropertyKey[], change: Change) => {
    changes.set(propertyPath(steps), change);
    const property = String(steps[0]);
    if (replaces(property)) replaced.add(property);
  };
  compare(withoutNotes(olds), withoutNotes(news), [], record);
  return { changes, replaces: [...replaced] };
}

function compare(
  old: Value | undefined,
  now: Value | undefined,
  steps: PropertyKey[],
  record: (steps: PropertyKey[], change: Change) => void,
): void {
  if (isDeepStrictEqual(old ?? null, now ?? null)) return;
  if (Array.isArray(old) && Array.isArray(now)) {
    for (let index = 0; index < Math.max(old.length, now.length); index++)
      compare(old[index], now[index], [...steps, index], record);
  } else if (isObject(old) && isObject(now)) {
    for (const key of new Set([...Object.keys(old), ...Object.keys(now)]))
      compare(old[key], now[key], [...steps, key], record);
  } else {
    record(steps, old == null ? "add" : now == null ? "delete" : "update");
  }
}
