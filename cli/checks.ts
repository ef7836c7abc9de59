/** Everything that a stack depends on, looked at before anything is made. */
import { readWholeConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { stackFile, stackId } from "../config/stack-file.ts";
import { UserError } from "../errors.ts";
import { type Check, check } from "../machine/checks/check.ts";
import { hostNeeds } from "../machine/needs.ts";
import { withAdopted } from "../machine/owner.ts";
import type { Context } from "./context.ts";
import { credentialChecks } from "./docker/credential-helpers.ts";
import { hostOfKind } from "./hosts/index.ts";
import { readAdopted } from "./pulumi/adopted.ts";
import { findPlaces } from "./pulumi/checkpoint.ts";
import { findHoldings } from "./pulumi/state.ts";

/** Looks at everything; what cannot be looked at is a check that fails. */
export async function findChecks(context: Context, stack: string): Promise<Check[]> {
  const about = { found: "", needed: "what docs/configuration.md allows" };
  let config: Config;
  try {
    config = readWholeConfig(context.root, stack);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return [check("configuration", { ...about, found: "not right" }, error.message)];
  }
  const read = check("configuration", { ...about, found: stackFile(".", stack) });
  const passwords = credentialChecks(config.image, context.env);
  const known = findHoldings(findPlaces(context, stack));
  const holdings = known && withAdopted(known, readAdopted(context, stack));
  const needs = hostNeeds(stackId(context.root, stack), config, holdings);
  const host = await hostOfKind(config.host.kind);
  return [read, ...passwords, ...(await host.checks({ context, stack }, config, needs))];
}

/** A line for each check, in columns, and below it what is wrong. */
export function formatChecks(checks: Check[]): string {
  const width = Math.max(...checks.map(({ check: name }) => name.length));
  return checks
    .map(({ status, check: name, found, needed, problem }) => {
      const target = needed === found ? "" : ` (needed: ${needed})`;
      const line = `${status.padEnd(4)}  ${name.padEnd(width)}  ${found}${target}\n`;
      return problem === undefined ? line : `${line}      ${problem.replaceAll("\n", "\n      ")}\n`;
    })
    .join("");
}

/** How many checks there were, and how many of them did not pass. */
export function summary(checks: Check[]): string {
  const count = (status: Check["status"]) => checks.filter((each) => each.status === status).length;
  const parts = [`${count("ok")} ok`];
  const warnings = count("warn");
  if (warnings > 0) parts.push(`${warnings} warning${warnings === 1 ? "" : "s"}`);
  if (count("fail") > 0) parts.push(`${count("fail")} failed; nothing was created`);
  return `checks: ${parts.join(", ")}`;
}
