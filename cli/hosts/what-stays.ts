/** What is left of a stack that is torn down. */
import type { StackOutputs } from "../pulumi/outputs.ts";

/** In words. @param where the machine, where that is not this one. Pure. */
export function whatStays(
  { codeFolder, dataFolder, image }: StackOutputs,
  stack: string,
  where = "",
): string {
  const files = codeFolder && dataFolder ? `your files in ${codeFolder} and ${dataFolder}` : "your files";
  const left = image ? `${files}, and the image (\`docker rmi ${image}\` removes it)` : files;
  return `stack ${stack} is torn down. What stays${where}: ${left}.`;
}
