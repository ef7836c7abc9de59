/** The one class for what a person can fix. */

/**
 * An error whose message is for the person as it is: what is wrong, where (config key, host, file, url), and the command that fixes
 * it. Nothing else of it is shown, and never a stack trace.
 */
export class UserError extends Error {
  /** Marks it where types do not: in failure.mjs, which runs before any TypeScript can. */
  readonly forPerson = true;
  /** Exit status of the command that ends with it: 1, or 2 where the command was called wrongly. */
  readonly status: number;

  constructor(message: string, status = 1) {
    super(message);
    this.status = status;
  }
}
