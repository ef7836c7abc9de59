/**
 * What `npm run adopt` has taken over: kept beside the state until that has it, and not in the stack's file, which people share
 * while each has a state of their own.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stackId } from "../../config/stack-file.ts";
import type { Adopted } from "../../machine/owner.ts";
import { type Context, ensureFolder } from "../context.ts";
import { chooseBackend } from "./backend.ts";

/** What a stack has taken over; undefined for most. */
export function readAdopted(context: Context, stack: string): Adopted | undefined {
  return readAll(context)[key(context, stack)];
}

/** Keeps what a stack has taken over. */
export function keepAdopted(context: Context, stack: string, taken: Omit<Adopted, "stack">): void {
  ensureFolder(context.home, "the state of your stacks and its passphrase; keep it");
  const adopted: Adopted = { stack: stackId(context.root, stack), ...taken };
  writeAll(context, { ...readAll(context), [key(context, stack)]: adopted });
}

/** The state has it now, or it is gone. */
export function forgetAdopted(context: Context, stack: string): void {
  const { [key(context, stack)]: taken, ...others } = readAll(context);
  if (taken) writeAll(context, others);
}

const fileOf = ({ home }: Context) => join(home, "adopted.json");

/** A stack of one name may be in several backends. */
const key = (context: Context, stack: string) =>
  `${stackId(context.root, stack)} in ${chooseBackend(context).url}`;

function readAll(context: Context): Record<string, Adopted> {
  return existsSync(fileOf(context)) ? JSON.parse(readFileSync(fileOf(context), "utf8")) : {};
}

function writeAll(context: Context, all: Record<string, Adopted>): void {
  if (Object.keys(all).length === 0) rmSync(fileOf(context), { force: true });
  else writeFileSync(fileOf(context), `${JSON.stringify(all, null, 2)}\n`, { mode: 0o600 });
}
