/** A quick look at an instance that a stack made. */
import { requireOwnAccount } from "../aws/account.ts";
import type { Look } from "./look.ts";
import { lookThere } from "./remote.ts";

export const lookAtInstance: Look = async (stack, state) => {
  // The machine knows who may log in, and not whose credentials the engine would use.
  const [glance] = await Promise.all([lookThere(stack, state), requireOwnAccount(stack, state)]);
  return glance;
};
