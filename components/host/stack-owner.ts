/** The owner of a stack, as the program has it. */
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { ADOPTED, type Adopted, type Holdings, holdings, withAdopted } from "../../machine/owner.ts";

/** What the stack that is being deployed has, by its state and by what was taken over for it. */
export async function readHoldings(stack: string, env = process.env): Promise<Holdings> {
  const stackName = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
  // The engine's own function behind `StackReference`: unlike the outputs of a stack, it knows of a run that was killed as well.
  const { outputs }: { outputs: Record<string, { type: string; outputs?: Record<string, unknown> }> } =
    await pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", { stackName });
  const known = holdings(
    Object.entries(outputs).map(([urn, { type, outputs: properties }]) => ({ urn, type, properties })),
  );
  const adopted: Adopted | undefined = env[ADOPTED] ? JSON.parse(env[ADOPTED]) : undefined;
  // A shell may have it from `npm run env` for another stack.
  return withAdopted(known, adopted?.stack === stack ? adopted : undefined);
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
