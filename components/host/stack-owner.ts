/** The owner of a stack, as the program has it. */
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { type Holdings, holdings } from "./owner.ts";

/** What the state of the stack that is being deployed says that it has. */
export async function readHoldings(): Promise<Holdings> {
  const stackName = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  // The engine's own function behind `StackReference`: unlike the outputs of a stack, it knows of a run that was killed as well.
  const { outputs }: { outputs: Record<string, { type: string; outputs?: Record<string, unknown> }> } =
    await pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", { stackName });
  return holdings(Object.values(outputs).map(({ type, outputs: properties }) => ({ type, properties })));
}

/**
 * The owner of a stack, made once and kept in the state.
 *
 * @param name of the component that it belongs to
 * @param given the owner of what the stack has already
 */
export function stackOwner(
  name: string,
  given: string | undefined,
  opts: pulumi.CustomResourceOptions,
): pulumi.Output<string> {
  const made = new random.RandomPassword(`${name}-owner`, { length: 16, special: false }, opts);
  // It keeps nothing safe: whoever may ask the daemon sees it.
  return given === undefined ? pulumi.unsecret(made.result) : pulumi.output(given);
}
