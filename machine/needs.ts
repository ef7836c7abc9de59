import type { Config } from "../config/schema.ts";
import type { HostNeeds } from "./facts.ts";
import { homeVolume, stackSlug } from "./names.ts";
import type { Holdings } from "./owner.ts";

/** Archive and contents are both there for a while. */
const COPIES = 2;
const MEGABYTE = 1e6;

/** What a stack, `<project>/<stack>`, will ask of its host, and has there already. */
export function hostNeeds(
  stack: string,
  { image, notebooks, code, data }: Config,
  holdings?: Holdings,
): HostNeeds {
  return {
    stack,
    holdings,
    network: stackSlug(stack),
    notebooks: notebooks.map((notebook) => ({
      ...notebook,
      volume: homeVolume(stack, notebook.name, image),
    })),
    target: "target" in image ? image.target : undefined,
    puts: code.length > 0 ? "code" : data.length > 0 ? "data" : undefined,
    data: Math.ceil(data.reduce((sum, { size = 0 }) => sum + COPIES * size, 0) / MEGABYTE),
  };
}
