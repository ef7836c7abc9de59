/**
 * How property values travel between the engine and a plugin: plain JSON, in which two marks stand for what
 * JSON cannot say. The marks are part of the plugin protocol.
 */

/** A value as the engine sends it. At preview any of them may be {@link unknownValue}. */
export type Value = null | boolean | number | string | Value[] | Properties;
/** The inputs or the outputs of one resource, or a nested object, by property name. */
export interface Properties {
  [property: string]: Value | undefined;
}

/** Stands for a value that is not known before `up` has run. */
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";

/** Marks an output as a secret, so that the engine encrypts it in the state and hides it in what it prints. */
export function secret(value: Value): Value {
  return { [signatureKey]: secretSignature, value };
}

/** The properties without the marks of secrets, which the engine leaves on a provider's own arguments. */
export function revealed(properties: Properties): Properties {
  return Object.fromEntries(
    Object.entries(properties).map(([name, value]) => [
      name,
      isObject(value) && value[signatureKey] === secretSignature ? value.value : value,
    ]),
  );
}

/** True when the value, or anything inside it, is not known yet. */
export function hasUnknown(value: Value | undefined): boolean {
  if (Array.isArray(value)) return value.some(hasUnknown);
  if (isObject(value)) return Object.values(value).some(hasUnknown);
  return value === unknownValue;
}

/** True for an object, as opposed to a list, a plain value or nothing. */
export function isObject(value: unknown): value is Properties {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The properties that are a resource's own: the official plugins keep notes of theirs under names that begin with
 * two underscores, which stay in the state when a stack moves from one to the other.
 */
export function withoutNotes(properties: Properties): Properties {
  return Object.fromEntries(Object.entries(properties).filter(([name]) => !name.startsWith("__")));
}

/**
 * The value without `__defaults`, in which the official plugins note what they filled in, also inside of lists and objects: where
 * changes are ignored, the engine gives the inputs that the state has, notes included.
 */
export function withoutDefaultsNote<T extends Value | undefined>(value: T): T {
  if (Array.isArray(value)) return value.map(withoutDefaultsNote) as T;
  if (!isObject(value)) return value;
  const own = Object.entries(value).filter(([name]) => name !== "__defaults");
  return Object.fromEntries(own.map(([name, each]) => [name, withoutDefaultsNote(each)])) as T;
}

/** The name of a nested property as the engine writes it: `ports[0].internal`, `labels["a.b"]`. */
export function propertyPath(steps: readonly PropertyKey[]): string {
  return steps.reduce<string>((path, step) => {
    if (typeof step === "number") return `${path}[${step}]`;
    if (!/^[A-Za-z_]\w*$/.test(String(step))) return `${path}[${JSON.stringify(step)}]`;
    return path === "" ? String(step) : `${path}.${String(step)}`;
  }, "");
}
