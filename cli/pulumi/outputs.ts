/** The outputs of a stack. */
import type { MachineInfo, NotebookInfo } from "../../machine/outputs.ts";
import { outputsHere, type PlainOutputs } from "../docker/notebooks.ts";
import { askEngine, type Session } from "./session.ts";

/** The outputs of the program; none of them is there before the first `up` has ended well. */
export interface StackOutputs extends PlainOutputs {
  /** Their urls hold the tokens: printed for the person, never written anywhere. */
  notebooks?: NotebookInfo[];
  /** Command that brings the notebooks of a machine elsewhere here. */
  tunnel?: string;
  /** The machine that the stack made. */
  machine?: MachineInfo;
}

/** The outputs of the session's stack, secrets in clear. The engine is asked only where nobody else knows. */
export async function readOutputs(session: Session): Promise<StackOutputs> {
  return (
    (await outputsHere(session.context, session.stack)) ??
    JSON.parse(await askEngine(session, ["stack", "output", "--json", "--show-secrets"]))
  );
}
