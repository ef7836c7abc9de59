import type Docker from "dockerode";
import { type Created, type Operation, PartialFailure, type Resource } from "../shared/provider.ts";
import type { Properties } from "../shared/values.ts";
import { diffTable, firstState, known, plan, type Table, tableSchema, withFallbacks } from "./table.ts";

/** The daemon, once the provider is configured. */
export type Daemon = () => Docker;

/** A resource type of which a {@link Table} says how it is checked and compared. */
export interface TableResource<Inputs> {
  table: Table;
  /** Properties it has besides its inputs. */
  outputs: readonly string[];
  /** Whether a replacement deletes the old one first. */
  deleteBeforeReplace: boolean;
  check?: Resource["check"];
  /** Makes it; when `finish` fails, the resource stays in the state, and the next `up` deletes it. */
  create(inputs: Inputs, operation: Operation): Promise<{ id: string; finish?: () => Promise<void> }>;
  /** The state now; undefined when it is gone. */
  read(id: string, state: Properties): Promise<Properties | undefined>;
  update?(id: string, state: Properties, planned: Inputs, changed: ReadonlySet<string>): Promise<void>;
  /** Default: nothing is done. */
  delete?(id: string, state: Properties): Promise<void>;
}

/** The plugin's resource for a table. */
export function tableResource<Inputs>(definition: TableResource<Inputs>): Resource {
  const { table, outputs } = definition;
  const filled = (inputs: Properties) => withFallbacks(table, inputs) as Inputs;
  return {
    schema: tableSchema(table),
    ...(definition.check && { check: definition.check }),
    diff: (state, _, inputs) => ({
      ...diffTable(table, state, inputs),
      deleteBeforeReplace: definition.deleteBeforeReplace,
    }),
    async create(inputs, operation): Promise<Created> {
      const planned = plan(table, outputs, inputs);
      if (operation.preview) return { id: "", outputs: planned };
      const { id, finish } = await definition.create(filled(inputs), operation);
      try {
        await finish?.();
        const state = await definition.read(id, known(planned));
        if (state === undefined) throw new Error(`${operation.name} was made, and is gone already`);
        return { id, outputs: firstState(table, planned, state) };
      } catch (error) {
        throw new PartialFailure((error as Error).message, { id, outputs: known(planned) }, { cause: error });
      }
    },
    // The note says how the official plugin's own state follows from this one. It panics where the two do not agree, and does without.
    read: (id, { __pulumi_raw_state_delta: _, ...state }) => definition.read(id, state),
    async update(id, state, inputs, operation) {
      const planned = plan(table, outputs, inputs, state);
      const changed = new Set(
        [...diffTable(table, state, inputs).changes.keys()].map((path) => path.split(/\W/)[0] ?? path),
      );
      if (!operation.preview) await definition.update?.(id, state, planned as Inputs, changed);
      return planned;
    },
    ...(definition.delete && { delete: definition.delete }),
  };
}
