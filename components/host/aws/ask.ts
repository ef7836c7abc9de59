/** Asking AWS something before anything is made. */

import { UserError } from "../../../errors.ts";
import { inWords, whyUnanswered } from "../../../machine/aws/unanswered.ts";

/** @throws UserError always */
export function refuse(problem: string): never {
  throw new UserError(`${problem}; nothing was created`);
}

/**
 * Awaits a look-up.
 *
 * @param question what is asked, as in "AWS does not say …", with the configuration's key before it where one is behind it
 * @param absent the refusal where there is no such thing; without it, that is one more thing that AWS does not say
 * @throws UserError where AWS does not answer
 */
export async function ask<T>(
  { key, question, absent }: { key?: string; question: string; absent?: string },
  look: Promise<T>,
): Promise<T> {
  return await look.catch((error) => {
    const why = whyUnanswered(error);
    if (why.kind === "absent" && absent !== undefined) return refuse(`${absent} (${why.reason})`);
    return refuse(`${key ? `gpubox:host.${key}: ` : ""}AWS does not say ${question}: ${inWords(why)}`);
  });
}
