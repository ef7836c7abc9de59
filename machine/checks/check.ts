/** One look at what a stack depends on. */

/** One thing that a stack depends on, as it was found. */
export interface Check {
  /** What was looked at. */
  check: string;
  /** `fail` keeps the stack from coming up; `warn` may spoil the person's day later. */
  status: "ok" | "warn" | "fail";
  /** What there is. */
  found: string;
  /** What it takes. */
  needed: string;
  /** Where it is not ok: what is wrong, with the config key and the command that fixes it. */
  problem?: string;
}

/** A check that passes unless there is a problem. */
export function check(
  name: string,
  { found, needed }: { found: string; needed: string },
  problem?: string,
  otherwise: "warn" | "fail" = "fail",
): Check {
  const about = { check: name, found, needed };
  return problem === undefined ? { ...about, status: "ok" } : { ...about, status: otherwise, problem };
}
