/** The checks that every machine with a Docker daemon has, and what is said of those. */
import { type Check, check } from "../../machine/checks/check.ts";
import { notebookCheck } from "../../machine/checks/notebooks.ts";
import { hostChecks } from "../../machine/checks/preflight.ts";
import { explainSilence, readStatus } from "../../machine/docker/condition.ts";
import type { HostFacts, HostNeeds } from "../../machine/facts.ts";
import { stackCommand } from "../stack.ts";
import { type NotebookHost, whySilent } from "../system/host-scripts.ts";
import type { StackRef } from "./host.ts";

/** How long a notebook that was just started may take to answer, in seconds. */
const ANSWER_PATIENCE_SECONDS = 8;

/** The checks of a host. A notebook that was just started is asked whether it answers: one that stops again and again runs in between. */
export async function checksOfHost(
  { context, stack }: StackRef,
  needs: HostNeeds,
  facts: HostFacts,
  machine: NotebookHost,
): Promise<Check[]> {
  const looks = hostChecks(needs, facts).map(async (each) => {
    const notebook = needs.notebooks.find(({ name }) => each.check === notebookCheck(name));
    const { status = "" } = facts.containers.find(({ name }) => name === notebook?.name) ?? {};
    if (!notebook || !readStatus(status).starting) return each;
    const { name } = notebook;
    const why = await whySilent(context, notebook, ANSWER_PATIENCE_SECONDS, machine);
    if (why === undefined) return each;
    const found = { found: "no answer yet", needed: "up or stopped" };
    return check(each.check, found, explainSilence(name, why, stackCommand("logs", stack, name)), "warn");
  });
  return await Promise.all(looks);
}
