import { z } from "zod";
import type { Change, Diff } from "../shared/diff.ts";
import {
  hasUnknown,
  isObject,
  type Properties,
  propertyPath,
  unknownValue,
  type Value,
} from "../shared/values.ts";

/**
 * A resource type as a table: each property's type, and what a change to it means. Check, diff and preview follow
 * from the table by the rules of the official plugin, which compares the inputs with the state (what the daemon last
 * said), not with the inputs of last time.
 */
export type Table = Readonly<Record<string, Property>>;

interface Meaning {
  required?: boolean;
  /** A change replaces the resource. */
  replaces?: boolean;
  /** Left out, the property is what the daemon makes it, and never a difference. */
  computed?: boolean;
  /** Taken when the property is left out. */
  fallback?: Value;
  /** Left out or empty, the property stays as it is. */
  sticky?: boolean;
  /** A block that is a set of one to the official plugin. */
  set?: boolean;
  /** Not to be given: it always is its fallback. */
  preset?: boolean;
}

/** One property: how it is checked and how it is compared. Made by {@link text} and its siblings. */
export type Property = Meaning & { schema: z.ZodType } & (
    | { kind: "plain" | "map" }
    /** `set`: the order means nothing. `unordered`: a list whose order alone is no difference. */
    | { kind: "list" | "set" | "unordered"; element: Property }
    | { kind: "block"; table: Table }
  );

export const text = (meaning: Meaning = {}, pattern?: RegExp): Property => ({
  ...meaning,
  kind: "plain",
  schema: pattern ? z.string().regex(pattern) : z.string(),
});

export const whole = (meaning: Meaning = {}, minimum = Number.MIN_SAFE_INTEGER): Property => ({
  ...meaning,
  kind: "plain",
  schema: z.int().min(minimum),
});

export const flag = (meaning: Meaning = {}): Property => ({ ...meaning, kind: "plain", schema: z.boolean() });

/** A property that has to be given, and has to be this. */
export const always = (value: string | boolean): Property => ({
  required: true,
  kind: "plain",
  schema: z.literal(value, `must be ${value} for the stand-in plugin`),
});

/** A default of the official plugin's that no program changes: it is in the state, and a difference where the daemon says otherwise. */
export const preset = (fallback: Value, meaning: Meaning = {}): Property => ({
  ...meaning,
  kind: "plain",
  schema: z.undefined(),
  fallback,
  preset: true,
});

/** Strings by name. */
export const map = (meaning: Meaning = {}): Property => ({
  ...meaning,
  kind: "map",
  schema: z.record(z.string(), z.string()),
});

/** Strings, the order of which matters. */
export const texts = (meaning: Meaning = {}): Property => many("list", text(meaning), meaning);

/** Strings, the order of which means nothing. */
export const textSet = (meaning: Meaning = {}): Property => many("set", text(meaning), meaning);

/** One nested object. */
export const block = (table: Table, meaning: Meaning = {}): Property => ({
  ...meaning,
  kind: "block",
  table,
  schema: tableSchema(table),
});

/** Nested objects. */
export const blocks = (kind: "set" | "unordered", table: Table, meaning: Meaning = {}): Property =>
  many(kind, block(table), meaning);

const many = (kind: "list" | "set" | "unordered", element: Property, meaning: Meaning): Property => ({
  ...meaning,
  kind,
  element,
  schema: z.array(element.schema),
});

/** The schema of all properties of a table: strict, so that a property it does not name is an error. */
export function tableSchema(table: Table): z.ZodType {
  return z.strictObject(
    Object.fromEntries(
      Object.entries(table)
        .filter(([, { preset }]) => !preset)
        .map(([name, { required, schema }]) => [name, required ? schema : schema.nullish()]),
    ),
  );
}

/** The inputs with the defaults of everything that was left out, nested objects included. */
export function withFallbacks(table: Table, inputs: Properties): Properties {
  return Object.fromEntries(
    Object.entries(table).map(([name, property]) => [name, filled(property, inputs[name])]),
  );
}

function filled(property: Property, value: Value | undefined): Value | undefined {
  if (value === undefined || value === null) return property.fallback;
  if (property.kind === "block" && isObject(value)) return withFallbacks(property.table, value);
  if ("element" in property && Array.isArray(value))
    return value.map((element) => filled(property.element, element) ?? null);
  return value;
}

/**
 * What the resource will be, as far as that can be said before: the inputs, and for what they leave to the daemon
 * what it was (`state`), or unknown for a resource that is still to be made.
 */
export function plan(
  table: Table,
  outputs: readonly string[],
  inputs: Properties,
  state?: Properties,
): Properties {
  const before = (name: string) => (state === undefined ? unknownValue : state[name]);
  const planned = withFallbacks(table, inputs);
  for (const [name, property] of Object.entries(table)) {
    if (isLeft(property, planned[name])) planned[name] = before(name);
  }
  for (const name of outputs) planned[name] = before(name);
  return planned;
}

/** What of the properties is known already, nested ones included. */
export function known(properties: Properties): Properties {
  return knownPart(properties) as Properties;
}

function knownPart(value: Value | undefined): Value | undefined {
  if (value === unknownValue) return undefined;
  if (Array.isArray(value)) return value.map((element) => knownPart(element) ?? null);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, nested]) => [name, knownPart(nested)]));
}

/** The state of a resource that was just made: what the daemon said of it, but sets as they were asked for. */
export function firstState(table: Table, planned: Properties, told: Properties): Properties {
  const asked = Object.entries(table).filter(
    ([name, { kind, set = kind === "set" }]) => set && !isEmpty(planned[name]) && !hasUnknown(planned[name]),
  );
  return { ...told, ...Object.fromEntries(asked.map(([name]) => [name, planned[name]])) };
}

/** What has to change for the resource to go from its state to what the inputs ask for. */
export function diffTable(
  table: Table,
  state: Properties,
  inputs: Properties,
): Omit<Diff, "deleteBeforeReplace"> {
  const changes = new Map<string, Change>();
  const replaces = new Set<string>();
  compareBlock(table, state, withFallbacks(table, inputs), [], (steps, change, replacing) => {
    changes.set(propertyPath(steps), change);
    if (replacing) replaces.add(String(steps[0]));
  });
  return { changes, replaces: [...replaces] };
}

type Recorder = (steps: PropertyKey[], change: Change, replaces: boolean) => void;

function compareBlock(
  table: Table,
  old: Properties,
  now: Properties,
  steps: PropertyKey[],
  record: Recorder,
): void {
  for (const [name, property] of Object.entries(table))
    compare(property, old[name], now[name], [...steps, name], record);
}

function compare(
  property: Property,
  old: Value | undefined,
  now: Value | undefined,
  steps: PropertyKey[],
  record: Recorder,
): void {
  const { replaces = false } = property;
  // A list that the daemon never told, because the resource failed while it was made, is a difference. So that is
  // how a container which never got healthy is replaced by the next `up`.
  if (property.kind === "list" && property.computed && old == null && now == null) {
    record(steps, "add", replaces);
    return;
  }
  if (isEmpty(now) && (property.sticky || isEmpty(old) || isLeft(property, now))) return;
  if (isEmpty(old) || isEmpty(now) || now === unknownValue) {
    record(steps, isEmpty(old) ? "add" : isEmpty(now) ? "delete" : "update", replaces);
  } else if (property.kind === "block" && isObject(old) && isObject(now)) {
    compareBlock(property.table, old, now, steps, record);
  } else if ("element" in property && Array.isArray(old) && Array.isArray(now)) {
    if (property.kind === "set") compareSets(property.element, replaces, old, now, steps, record);
    else compareLists(property, property.element, old, now, steps, record);
  } else if (property.kind === "map" && isObject(old) && isObject(now)) {
    for (const key of new Set([...Object.keys(old), ...Object.keys(now)]))
      compare({ ...text(), replaces }, old[key], now[key], [...steps, key], record);
  } else if (old !== now) {
    record(steps, "update", replaces);
  }
}

function compareLists(
  { kind, replaces = false }: Property,
  element: Property,
  old: Value[],
  now: Value[],
  steps: PropertyKey[],
  record: Recorder,
): void {
  if (kind === "unordered") {
    const [gone, added] = differences(element, old, now);
    if (gone.length === 0 && added.length === 0) return;
  }
  if (old.length !== now.length) record(steps, "update", replaces);
  else
    for (const [index, value] of old.entries())
      compare(element, value, now[index], [...steps, index], record);
}

function compareSets(
  element: Property,
  replaces: boolean,
  old: Value[],
  now: Value[],
  steps: PropertyKey[],
  record: Recorder,
): void {
  const [gone, added] = differences(element, old, now);
  if (gone.length === 0 && added.length === 0) return;
  if (gone.length !== added.length) record(steps, "update", replaces);
  const replacing = [...gone, ...added].some((value) => forcesReplacement(element, value));
  for (const value of added)
    record([...steps, now.indexOf(value)], gone.length > 0 ? "update" : "add", replacing);
  if (added.length === 0)
    for (const value of gone) record([...steps, old.indexOf(value)], "delete", replacing);
}

/** The elements that only the one and only the other list has. */
function differences(element: Property, old: Value[], now: Value[]): [gone: Value[], added: Value[]] {
  const without = (values: Value[], others: Value[]) => {
    const keys = new Set(others.map((value) => canonical(element, value)));
    return values.filter((value) => !keys.has(canonical(element, value)));
  };
  return [without(old, now), without(now, old)];
}

/** An element of a set counts as new altogether when anything in it changed: any of its properties may replace. */
function forcesReplacement(property: Property, value: Value | undefined): boolean {
  if (isEmpty(value)) return false;
  if (property.replaces) return true;
  if (property.kind !== "block" || !isObject(value)) return false;
  return Object.entries(property.table).some(([name, nested]) => forcesReplacement(nested, value[name]));
}

/** A text that is the same for equal values: without empty properties, sets in order. */
function canonical(property: Property, value: Value | undefined): string {
  if (property.kind === "block" && isObject(value))
    return JSON.stringify(
      Object.entries(property.table)
        .filter(([name]) => !isEmpty(value[name]))
        .map(([name, nested]) => [name, canonical(nested, value[name])]),
    );
  if ("element" in property && Array.isArray(value)) {
    const elements = value.map((element) => canonical(property.element, element));
    return JSON.stringify(property.kind === "set" ? elements.sort() : elements);
  }
  if (property.kind === "map" && isObject(value)) return JSON.stringify(Object.entries(value).sort());
  return JSON.stringify(value);
}

/** Whether it is left to the daemon what the property is. An empty list says as little as none. */
function isLeft({ computed = false }: Property, value: Value | undefined): boolean {
  return computed && (value == null || (Array.isArray(value) && value.length === 0));
}

/** The official plugin cannot tell a property that is left out from one that is 0, false or empty. */
function isEmpty(value: Value | undefined): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (isObject(value)) return Object.values(value).every(isEmpty);
  return value === undefined || value === null || value === "" || value === 0 || value === false;
}
