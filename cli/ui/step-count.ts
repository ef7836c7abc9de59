/** How far a build is, by what BuildKit reports of it: it knows all of a build's steps from its beginning. Pure. */
import type { BuildStatus } from "../../machine/docker/image-build.ts";

type Vertex = BuildStatus["vertexes"][number];

export class StepCount {
  readonly #steps = new Map<string, Vertex>();

  add({ vertexes }: Pick<BuildStatus, "vertexes">): void {
    // The builder's own steps say nothing to a person.
    for (const vertex of vertexes)
      if (/^\[(?!internal\])/.test(vertex.name)) this.#steps.set(vertex.digest, vertex);
  }

  /** For example "7 of 19 steps"; empty before the first. */
  get text(): string {
    const all = [...this.#steps.values()];
    const done = all.filter(({ completed, error }) => completed && !error).length;
    return all.length === 0 ? "" : `${done} of ${all.length} steps`;
  }
}
