/** What the URN of a resource says of it. */

/** The name of a resource, which ends its URN. */
export const resourceName = (urn: string): string => urn.slice(urn.lastIndexOf("::") + 2);

/** The type of a resource: the last of those in its URN, which names its parents' as well. */
export const typeOf = (urn: string): string => urn.split("::")[2]?.split("$").at(-1) ?? "";
