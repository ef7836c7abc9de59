/** What all resources have in common: names, tags, and how a change is compared. */
import { randomBytes } from "node:crypto";
import { CreateTagsCommand, DeleteTagsCommand } from "@aws-sdk/client-ec2";
import { z } from "zod";
import { diffProperties } from "../../../offline/plugins/shared/diff.ts";
import type { Operation, Resource } from "../../../offline/plugins/shared/provider.ts";
import { type Properties, unknownValue } from "../../../offline/plugins/shared/values.ts";
import type { Cloud } from "./cloud.ts";
import { tagList } from "./cloud.ts";

export type Tags = Record<string, string>;

/** One type, of which `Inputs` are its inputs with every value known. */
export interface Definition<Inputs> {
  /** Its inputs; `tags` is added to those that can be tagged. */
  inputs: z.ZodRawShape;
  /** Input that is its name where the program gives none: the resource's name and seven random hex digits. */
  nameInput?: string;
  /** How a change of tags gets there; absent for what has no tags. */
  retag?: (id: string, set: Tags, removed: string[]) => Promise<unknown>;
  /** What it has besides its inputs. */
  outputs: readonly string[];
  /** Whether a changed property, by its path (`rootBlockDevice.encrypted`), needs a new resource. */
  replaces: (path: string, news: Properties) => boolean;
  /** Makes it and says its id. */
  create(inputs: Inputs, tags: Tags, operation: Operation): Promise<string>;
  /** Its outputs, as the cloud has them; undefined when it is gone. */
  read(id: string, state: Properties): Promise<Properties | undefined>;
  /** Changes the properties at the paths, none of which is `tags`. */
  update?(id: string, inputs: Inputs, changed: string[], state: Properties): Promise<void>;
  /** Removes it; what is gone already is no error. */
  delete(id: string, state: Properties): Promise<void>;
}

/** The plugin's resource for a definition. */
export function awsResource<Inputs>(cloud: Cloud, definition: Definition<Inputs>): Resource {
  const { nameInput, retag, outputs } = definition;
  const schema = z.strictObject({
    ...definition.inputs,
    ...(retag && { tags: z.record(z.string(), z.string()).optional() }),
  });
  const allTags = (inputs: Properties) => (retag ? { tagsAll: cloud.tags(inputs.tags) } : {});
  const planned = (inputs: Properties, state: Properties = {}): Properties => ({
    ...Object.fromEntries(outputs.map((name) => [name, state[name] ?? unknownValue])),
    ...inputs,
    ...allTags(inputs),
  });
  // What the cloud chose where the program did not is no change.
  const isInput = (property: string, inputs: Properties) =>
    property in definition.inputs && (inputs[property] !== undefined || !outputs.includes(property));

  return {
    schema,
    ...(nameInput && {
      defaults: (inputs: Properties, olds: Properties, name: string) => ({
        [nameInput]: olds[nameInput] ?? `${name}-${randomBytes(4).toString("hex").slice(0, 7)}`,
        ...inputs,
      }),
    }),
    diff(state, olds, news) {
      const { changes } = diffProperties(olds, news, () => false);
      // The provider's tags may have changed alone.
      const { changes: retagged } = diffProperties({ tagsAll: state.tagsAll }, allTags(news), () => false);
      const paths = [...changes.keys()].filter((path) => definition.replaces(path, news));
      return {
        changes: new Map([...changes, ...retagged]),
        replaces: [...new Set(paths.map(topLevel))],
      };
    },
    async create(inputs, operation) {
      if (operation.preview) return { id: "", outputs: planned(inputs) };
      const { tagsAll = {} } = allTags(inputs);
      const id = await definition.create(inputs as Inputs, tagsAll, operation);
      return { id, outputs: { ...(await definition.read(id, inputs)), ...inputs, ...allTags(inputs) } };
    },
    async read(id, state) {
      const now = await definition.read(id, state);
      return now && { ...state, ...now };
    },
    async update(id, state, inputs, { preview }) {
      if (preview) return planned(inputs, state);
      const { changes } = diffProperties(state, inputs, () => false);
      const changed = [...changes.keys()].filter((path) => isInput(topLevel(path), inputs));
      if (changed.length > 0) await definition.update?.(id, inputs as Inputs, changed, state);
      const { tagsAll = {} } = allTags(inputs);
      const removed = Object.keys((state.tagsAll as Tags | undefined) ?? {}).filter(
        (key) => !(key in tagsAll),
      );
      await retag?.(id, tagsAll, removed);
      return { ...(await definition.read(id, inputs)), ...inputs, ...allTags(inputs) };
    },
    delete: definition.delete,
  };
}

function topLevel(path: string): string {
  return /^\w+/.exec(path)?.[0] ?? path;
}

/** Changes tags of anything in EC2. */
export function retagEc2(cloud: Cloud): NonNullable<Definition<unknown>["retag"]> {
  return async (id, set, removed) => {
    if (removed.length > 0) {
      const Tags = removed.map((Key) => ({ Key }));
      await cloud.ec2.send(new DeleteTagsCommand({ Resources: [id], Tags }));
    }
    if (Object.keys(set).length > 0) {
      await cloud.ec2.send(new CreateTagsCommand({ Resources: [id], Tags: tagList(set) }));
    }
  };
}
