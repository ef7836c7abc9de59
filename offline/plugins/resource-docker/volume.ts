import type { Resource } from "../shared/provider.ts";
import { doing, found, removing } from "./docker.ts";
import { type Daemon, tableResource } from "./resource.ts";
import { blocks, type Table, text } from "./table.ts";

const replaces = { replaces: true };
const required = { required: true, replaces: true };

/** The properties of docker.Volume. */
export const volumeTable = {
  name: text(required),
  labels: blocks("set", { label: text(required), value: text(required) }, replaces),
} as const satisfies Table;

interface VolumeInputs {
  name: string;
  labels?: { label: string; value: string }[];
}

/** docker.Volume. */
export function volumeResource(daemon: Daemon): Resource {
  return tableResource<VolumeInputs>({
    table: volumeTable,
    outputs: ["driver", "mountpoint"],
    // Two of one name cannot be.
    deleteBeforeReplace: true,
    async create({ name, labels = [] }) {
      // The daemon hands out a volume that exists already, whoever made it, just as the official plugin does.
      await doing(
        `creating volume ${name}`,
        daemon().createVolume({
          Name: name,
          Labels: Object.fromEntries(labels.map(({ label, value }) => [label, value])),
        }),
      );
      return { id: name };
    },
    async read(id, state) {
      const volume = await found(daemon().getVolume(id).inspect());
      return (
        volume && {
          ...state,
          name: volume.Name,
          driver: volume.Driver,
          labels: Object.entries(volume.Labels ?? {}).map(([label, value]) => ({ label, value })),
          mountpoint: volume.Mountpoint,
        }
      );
    },
    delete: (id) => removing("volume is in use", () => daemon().getVolume(id).remove()),
  });
}
