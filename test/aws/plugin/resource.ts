/** What all resources have in common: names, tags, how a change is compared, and how an error reads. */
import { randomBytes } from "node:crypto";
import { CreateTagsCommand, DeleteTagsCommand } from "@aws-sdk/client-ec2";
import { z } from "zod";
import { type Change, diffProperties } from "../../../offline/plugins/shared/diff.ts";
import { type Operation, PartialFailure, type Resource } from "../../../offline/plugins/shared/provider.ts";
import {
  isObject,
  type Properties,
  unknownValue,
  type Value,
} from "../../../offline/plugins/shared/values.ts";
import type { Cloud } from "./cloud.ts";
import { tagList } from "./cloud.ts";
import { listed } from "./errors.ts";

export type Tags = Record<string, string>;

/** One type, of which `Inputs` are its inputs with every value known. */
export interface Definition<Inputs> {
  /** Its inputs; `tags` is added to those that can be tagged. */
  inputs: z.ZodRawShape;
  /** Input that is its name where the program gives none: the resource's name and seven random hex digits. */
  nameInput?: string;
  /** How a change of tags gets there; absent for what has no tags. */
  retag?: (id: string, set: Tags, removed: string[]) => Promise<unknown>;
  /** What the cloud chooses where the program does not: an input among them that is left out is no change. */
  outputs: readonly string[];
  /** The exceptions to that, by their path (`rootBlockDevice.tags`): what is left out there is taken away. */
  removable?: RegExp;
  /** Whether a changed property, by its path (`rootBlockDevice.encrypted`), needs a new resource. */
  replaces: (path: string, news: Properties) => boolean;
  /** Makes it and says its id. */
  create(inputs: Inputs, tags: Tags, operation: Operation): Promise<string>;
  /** What is done once it is there; where that fails, the resource is kept and is not as asked for. */
  settle?(id: string, inputs: Inputs): Promise<void>;
  /** What it has, as the cloud says; undefined when it is gone. */
  read(id: string, state: Properties): Promise<Properties | undefined>;
  /** Changes the properties at the paths, none of which is `tags`. */
  update?(id: string, inputs: Inputs, changed: string[], state: Properties): Promise<void>;
  /** Removes it; what is gone already is no error. */
  delete(id: string, state: Properties, operation: Operation): Promise<void>;
}

/** The plugin's resource for a definition. */
export function awsResource<Inputs>(cloud: Cloud, definition: Definition<Inputs>): Resource {
  const { nameInput, retag, outputs, removable } = definition;
  const shape = {
    ...definition.inputs,
    ...(retag && { tags: z.record(z.string(), z.string()).optional() }),
  };
  const schema = z.strictObject(shape);
  const allTags = (inputs: Properties) => (retag ? { tagsAll: cloud.tags(inputs.tags) } : {});

  /** What differs between the resource as it was last read and what the program wants: not between two programs. */
  function changesOf(state: Properties, news: Properties): Map<string, Change> {
    const known = Object.fromEntries(Object.keys(shape).map((name) => [name, state[name]]));
    const { changes } = diffProperties(tidy(known), tidy(news), () => false);
    const chosen = (path: string) =>
      outputs.includes(topLevel(path)) && !path.includes("[") && !removable?.test(path);
    return new Map([...changes].filter(([path, change]) => change !== "delete" || !chosen(path)));
  }

  /** The state after something was done. */
  async function stateOf(id: string, inputs: Properties): Promise<Properties> {
    return { ...inputs, ...defined((await definition.read(id, inputs)) ?? {}), ...allTags(inputs) };
  }

  return {
    schema,
    ...(nameInput && {
      defaults: (inputs: Properties, olds: Properties, name: string) => ({
        [nameInput]: olds[nameInput] ?? `${name}-${randomBytes(4).toString("hex").slice(0, 7)}`,
        ...inputs,
      }),
    }),
    diff(state, _, news) {
      const changes = changesOf(state, news);
      // The provider's tags may have changed alone.
      const { changes: retagged } = diffProperties({ tagsAll: state.tagsAll }, allTags(news), () => false);
      const paths = [...changes.keys()].filter((path) => definition.replaces(path, news));
      return {
        changes: new Map([...changes, ...retagged]),
        replaces: [...new Set(paths.map(topLevel))],
      };
    },
    async create(inputs, operation) {
      if (operation.preview) {
        const later = Object.fromEntries(outputs.map((name) => [name, unknownValue]));
        return { id: "", outputs: { ...later, ...inputs, ...allTags(inputs) } };
      }
      return await telling(undefined, operation, async () => {
        const { tagsAll = {} } = allTags(inputs);
        const id = await definition.create(inputs as Inputs, tagsAll, operation);
        try {
          await definition.settle?.(id, inputs as Inputs);
          return { id, outputs: await stateOf(id, inputs) };
        } catch (error) {
          const { message } = listed(`creating ${operation.urn}`, error);
          throw new PartialFailure(message, { id, outputs: { ...inputs, ...allTags(inputs) } });
        }
      });
    },
    async read(id, state, operation) {
      return await telling("refreshing", operation, async () => {
        const now = await definition.read(id, state);
        return now && { ...state, ...defined(now) };
      });
    },
    async update(id, state, inputs, operation) {
      if (operation.preview) return { ...state, ...inputs, ...allTags(inputs) };
      return await telling("updating", operation, async () => {
        const { tagsAll = {} } = allTags(inputs);
        const before = (state.tagsAll as Tags | undefined) ?? {};
        if (diffProperties(before, tagsAll, () => false).changes.size > 0)
          await retag?.(
            id,
            tagsAll,
            Object.keys(before).filter((key) => !(key in tagsAll)),
          );
        const changed = [...changesOf(state, inputs).keys()].filter((path) => topLevel(path) !== "tags");
        if (changed.length > 0) await definition.update?.(id, inputs as Inputs, changed, state);
        return await stateOf(id, inputs);
      });
    },
    delete: (id, state, operation) =>
      telling("deleting", operation, () => definition.delete(id, state, operation)),
  };
}

/** Does something; an error of it reads as the bridge between engine and Terraform tells it. */
async function telling<T>(doing: string | undefined, { urn }: Operation, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PartialFailure) throw error;
    throw listed(doing && `${doing} ${urn}`, error);
  }
}

/** Without what is empty, between which and nothing Terraform sees no difference. */
function tidy(values: Properties): Properties {
  const kept = Object.entries(values).map(([name, value]): [string, Value | undefined] => [
    name,
    isObject(value) ? tidy(value) : value,
  ]);
  return Object.fromEntries(
    kept.filter(([, value]) => value != null && !(isObject(value) && Object.keys(value).length === 0)),
  );
}

function defined(values: Properties): Properties {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
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
