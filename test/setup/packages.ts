/** Before the tests: the programs that they start. Where they cannot be had, those who need them say so. */
import { createContext } from "../../cli/context.ts";
import { say } from "../../cli/say.ts";
import { prepareTestPackages } from "../../cli/setup/tests.ts";

export default async function setup(): Promise<void> {
  for (const reason of await prepareTestPackages(createContext())) say(`tests: ${reason}`);
}
