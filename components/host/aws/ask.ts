/** Asking AWS something before anything is made. */

import { UserError } from "../../../errors.ts";
import { type Question, unansweredProblem } from "../../../machine/aws/unanswered.ts";

/** @throws UserError always */
export function refuse(problem: string): never {
  throw new UserError(`${problem}; nothing was created`);
}

/** Awaits a look-up. @throws UserError where AWS does not answer */
export async function ask<T>(question: Question, look: Promise<T>): Promise<T> {
  return await look.catch((error) => refuse(unansweredProblem(question, error)));
}
