/** What the notebooks that a stack has on a host are at. Pure. */

import { commandLine } from "../../text/command-line.ts";
import { explain, readStatus } from "../docker/condition.ts";
import type { HostFacts, HostNeeds } from "../facts.ts";
import { isOwn, stackName } from "../owner.ts";
import { type Check, check } from "./check.ts";

/** What the check of a notebook is called. */
export const notebookCheck = (name: string) => `notebook ${name}`;

/** A check for each notebook whose container is there; `npm start` brings back all of them, so none fails. */
export function notebookChecks(needs: HostNeeds, { containers }: HostFacts): Check[] {
  return needs.notebooks.flatMap(({ name }) => {
    const { status } = containers.find((each) => each.name === name && isOwn(each, needs)) ?? {};
    if (status === undefined) return [];
    const said = readStatus(status);
    const found = said.unhealthy ? `${said.condition} (unhealthy)` : said.condition;
    return [
      check(
        notebookCheck(name),
        { found, needed: "up or stopped" },
        explain(name, said, commandLine("up", "-s", stackName(needs.stack))),
        "warn",
      ),
    ];
  });
}
