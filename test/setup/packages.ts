/** Before the tests: the programs that they start. Where they cannot be had, those who need them say so. */
import { createContext } from "../../cli/context.ts";
import { say } from "../../cli/ui/say.ts";
import { prepareTestPackages } from "../../scripts/test-packages.ts";

export default async function setup(): Promise<void> {
  for (const reason of await prepareTestPackages(createContext())) say(`tests: ${reason}`);
}
