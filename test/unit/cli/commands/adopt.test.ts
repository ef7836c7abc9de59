/** Taking over what a stack has, where the state that had it is lost. */
import { expect, it } from "vitest";
import { refuseRenamed } from "../../../../cli/commands/adopt.ts";

const refuse = (stack: string) => () => refuseRenamed([{ kind: "volume", stack }], "gpubox/lab");

it("refuses volumes of the name that the stack, or its project, had before, and says how to give it back", () => {
  expect(refuse("gpubox/lab")).not.toThrow();
  expect(() => refuseRenamed([{ kind: "container", stack: "gpubox/dev" }], "gpubox/lab")).not.toThrow();
  expect(refuse("gpubox/dev")).toThrow(/`mv Pulumi\.lab\.yaml Pulumi\.dev\.yaml`.*npm run adopt`/);
  expect(refuse("fastai/lab")).toThrow(
    /in Pulumi\.yaml, replace `name: .+` with `name: fastai`, .*npm run adopt -- -s lab/,
  );
  expect(refuse("fastai/lab")).not.toThrow(/mv /);
});
