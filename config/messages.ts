/** How what is wrong with a configuration is told: which key, what was found, what is allowed, and what was perhaps meant. Pure. */
import type { z } from "zod";
import { UserError } from "../errors.ts";
import { nearest, quote, shown } from "../text/words.ts";

/** Before every key of ours. */
export const NAMESPACE = "gpubox";

/** Our keys, without their namespace. */
export const KEYS = ["host", "root", "image", "code", "data", "connections", "notebooks"] as const;

/** What a stack's file has at its top, by Pulumi's own reading of it (`ProjectStack` in sdk/go/common/workspace). */
export const TOP_KEYS = ["config", "environment", "secretsprovider", "encryptedkey", "encryptionsalt"];

/**
 * The error for a configuration that cannot be used: everything that is wrong with it at once.
 *
 * @param problems a line each
 * @param file where they are to be fixed
 */
export function configError(stack: string, problems: string[], file = `Pulumi.${stack}.yaml`): UserError {
  const one = problems.length === 1;
  return new UserError(
    [
      `the configuration of stack ${stack} has ${one ? "a problem" : `${problems.length} problems`}; nothing was created:`,
      ...problems.map((line) => `  ${line}`),
      `Fix ${one ? "it" : "them"} in ${file}; docs/configuration.md has the table of keys.`,
    ].join("\n"),
  );
}

/** The part of a JSON schema that is read here. */
export interface KeySchema {
  properties?: Record<string, KeySchema>;
  items?: KeySchema;
  anyOf?: KeySchema[];
  oneOf?: KeySchema[];
  const?: unknown;
  description?: string;
  minimum?: number;
  maximum?: number;
}

/** Where a key is, from the top. */
type Path = PropertyKey[];

/** `["notebooks", 0, "gpus"]` as people write it: `gpubox:notebooks[0].gpus`. */
function formatPath(path: Path): string {
  const [first, ...rest] = path;
  const tail = rest
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${shown(String(part))}`))
    .join("");
  return `${NAMESPACE}:${shown(String(first ?? ""))}${tail}`;
}

/** The value a path leads to, or undefined. */
function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, part) => (at as Record<PropertyKey, unknown> | undefined)?.[part], value);
}

/**
 * What is wrong with the name of a key below `config:`; undefined where that is one of ours, known or not, or another package's.
 */
export function keyProblem(key: string): string | undefined {
  const parts = key.split(":");
  const [namespace = "", name = "", ...more] = parts;
  if (parts.length === 1) {
    const meant = nearest(key, KEYS);
    return meant === undefined
      ? `${shown(key)}: there is no such key; those of gpubox begin with "${NAMESPACE}:"`
      : `${shown(key)}: there is no such key; did you mean "${NAMESPACE}:${meant}"?`;
  }
  // Pulumi's older way of writing the same.
  if (namespace === NAMESPACE && name === "config" && more.length === 1)
    return `${shown(key)}: is written "${NAMESPACE}:${shown(more[0] as string)}"`;
  if (parts.length > 2 && !(name === "config" && more.length === 1))
    return `${shown(key)}: there is no such key: a key has one colon, as in "${NAMESPACE}:root"`;
  const isMistaken = namespace !== NAMESPACE && nearest(namespace, [NAMESPACE]) !== undefined;
  return isMistaken
    ? `${shown(key)}: there is no such key; did you mean "${NAMESPACE}:${nearest(name, KEYS) ?? shown(name)}"?`
    : undefined;
}

/** The alternatives of a schema; itself where it has none. */
function alternatives(schema: KeySchema): KeySchema[] {
  const several = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])];
  return several.length === 0 ? [schema] : several.flatMap(alternatives);
}

/** What a schema says of a path: one alternative or several; with a `kind`, that of the kind alone. */
function schemasAt(schema: KeySchema, path: Path, raw: unknown): KeySchema[] {
  const all = alternatives(schema);
  const kind = (raw as { kind?: unknown } | undefined)?.kind;
  const ofKind = all.filter(({ properties }) => properties?.kind?.const === kind && kind !== undefined);
  const here = ofKind.length > 0 ? ofKind : all;
  const [first, ...rest] = path;
  if (first === undefined) return here;
  const inside = (raw as Record<PropertyKey, unknown> | undefined)?.[first];
  return here.flatMap(({ properties, items }) => {
    const next = typeof first === "number" ? items : properties?.[String(first)];
    return next ? schemasAt(next, rest, inside) : [];
  });
}

const keysOf = (schemas: KeySchema[]): string[] => [
  ...new Set(schemas.flatMap(({ properties = {} }) => Object.keys(properties))),
];

/** Every place that has a key of this name, as people write it, without its namespace. */
function homesOf(key: string, schema: KeySchema, at = ""): string[] {
  const found = alternatives(schema).flatMap(({ properties = {}, items }) => [
    ...Object.entries(properties).flatMap(([name, inner]) => {
      const path = at === "" ? name : `${at}.${name}`;
      return [...(name === key ? [path] : []), ...homesOf(key, inner, path)];
    }),
    ...(items ? homesOf(key, items, `${at}[]`) : []),
  ]);
  return [...new Set(found)];
}

/** The kinds of host that have a key which this one has not. */
function otherKinds(key: string, path: Path, schema: KeySchema): string[] {
  if (path.join() !== "host") return [];
  return schemasAt(schema, path, undefined).flatMap(({ properties = {} }) =>
    properties[key] && typeof properties.kind?.const === "string" ? [properties.kind.const] : [],
  );
}

/** `"a", "b" or "c"`. */
function choice(words: string[]): string {
  const last = words.at(-1) ?? "";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} or ${last}`;
}

const TYPES: Record<string, string> = {
  string: "a text",
  int: "a whole number",
  number: "a number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
};

/** The values that an issue, or what is inside it, would have let pass. */
function valuesOf(issue: z.core.$ZodIssue): string[] {
  if (issue.code === "invalid_value")
    return issue.values.filter((value): value is string => typeof value === "string");
  if (issue.code === "invalid_union")
    return issue.errors.flat().flatMap((inner) => (inner.path.length === 0 ? valuesOf(inner) : []));
  return [];
}

/** What is wrong, in the words of the library where it was given none. */
function messageOf(issue: z.core.$ZodIssue, value: unknown, schemas: KeySchema[]): string {
  const described = schemas.find(({ description }) => description)?.description;
  if (issue.code === "invalid_union" && issue.discriminator) {
    const kinds = schemas.flatMap(
      ({ properties }) => properties?.[issue.discriminator as string]?.const ?? [],
    );
    return `must be ${choice(kinds.map(quote))}`;
  }
  if (issue.code === "invalid_value" && issue.message.startsWith("Invalid "))
    return `must be ${choice(issue.values.map(quote))}`;
  if (value === undefined && issue.code === "invalid_type")
    return `is missing${described ? `: ${described.split(/\.(?= |$)/)[0]}` : ""}`;
  if (issue.code === "invalid_type" && issue.message.startsWith("Invalid ")) {
    // YAML reads 1.10, 7e1 and true as something else than what was written.
    const isPlain = issue.expected === "string" && ["number", "boolean"].includes(typeof value);
    return `must be ${TYPES[issue.expected] ?? issue.expected}${isPlain ? ': write it in quotes, as in "1.10"' : ""}`;
  }
  const numbers = issue.code === "too_small" || issue.code === "too_big";
  if (numbers && typeof value === "number") {
    const [range] = schemas.filter(({ minimum, maximum }) => minimum !== undefined || maximum !== undefined);
    const { minimum, maximum } = range ?? {};
    const bounded = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
    return bounded ? `must be from ${minimum} to ${maximum}` : `must be at least ${minimum}`;
  }
  // The library's own words are for programmers.
  if (/^(Invalid|Too (small|big)|Unrecognized)\b/.test(issue.message))
    return issue.code === "too_small" ? "must not be empty" : "has the wrong format";
  return issue.message;
}

/** What was found at a bad key, and what was perhaps meant; environment values and passwords in urls are never shown. */
function found(path: Path, value: unknown, values: string[]): string {
  if (path.includes("environment") || value === undefined || typeof value === "object") return "";
  const meant = typeof value === "string" ? nearest(value, values) : undefined;
  const shown = quote(value).replace(/\/\/[^/@]*@/, "//…@");
  return ` (found ${shown}${meant === undefined ? "" : `; did you mean ${quote(meant)}?`})`;
}

function unknownKey(key: string, path: Path, schema: KeySchema, raw: unknown): string {
  const keys = keysOf(schemasAt(schema, path, raw));
  const meant = nearest(key, keys);
  if (meant !== undefined) return `there is no such key; did you mean "${meant}"?`;
  const kinds = otherKinds(key, path, schema);
  if (kinds.length > 0)
    return `there is no such key with this kind of host, but with ${choice(kinds.map(quote))}`;
  const homes = homesOf(key, schema).map((home) => `${NAMESPACE}:${home}`);
  if (homes.length > 0) return `there is no such key here; there is ${choice(homes)}`;
  return `there is no such key; there is ${keys.join(", ")}`;
}

/** What describes an issue. */
export interface Described {
  /** The configuration as it was given. */
  raw: unknown;
  /** JSON schema of what is allowed. */
  schema: KeySchema;
}

/** One line for each thing wrong, innermost cause of a union first. */
export function describeIssue(about: Described, issue: z.core.$ZodIssue, at: Path = []): string[] {
  const { raw, schema } = about;
  const path = [...at, ...issue.path];
  const name = formatPath(path);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => `${formatPath([...path, key])}: ${unknownKey(key, path, schema, raw)}`);
  }
  if (issue.code === "invalid_key") return issue.issues.map((inner) => `${name}: ${inner.message}`);
  if (issue.code === "invalid_union") {
    // The alternative of the right type is the one that was meant: name what is wrong inside it.
    const meant = issue.errors.find((issues) =>
      issues.every(
        (inner) => (inner.code !== "invalid_type" && inner.code !== "invalid_value") || inner.path.length > 0,
      ),
    );
    if (meant && !issue.discriminator) return meant.flatMap((inner) => describeIssue(about, inner, path));
  }
  const value = valueAt(raw, path);
  // What tells the alternatives apart is a key inside them.
  const holder = issue.code === "invalid_union" && issue.discriminator ? path.slice(0, -1) : path;
  const schemas = schemasAt(schema, holder, valueAt(raw, []));
  const values =
    issue.code === "invalid_union" && issue.discriminator
      ? schemas.flatMap(({ properties }) => String(properties?.[issue.discriminator as string]?.const ?? ""))
      : valuesOf(issue);
  return [`${name}: ${messageOf(issue, value, schemas)}${found(path, value, values)}`];
}
