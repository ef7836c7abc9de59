import type { Resource } from "../shared/provider.ts";
import type { Properties } from "../shared/values.ts";
import { doing, found, removing } from "./docker.ts";
import { type Daemon, tableResource } from "./resource.ts";
import { blocks, type Table, text } from "./table.ts";

const replaces = { replaces: true };
const required = { required: true, replaces: true };

/** The properties of docker.Network. */
export const networkTable = {
  name: text(required),
  labels: blocks("set", { label: text(required), value: text(required) }, replaces),
} as const satisfies Table;

interface NetworkInputs {
  name: string;
  labels?: { label: string; value: string }[];
}

/** docker.Network. */
export function networkResource(daemon: Daemon): Resource {
  return tableResource<NetworkInputs>({
    table: networkTable,
    outputs: ["driver", "internal", "ipamConfigs", "ipamDriver", "options", "scope"],
    // Two of one name cannot be.
    deleteBeforeReplace: true,
    async create(inputs) {
      const { id } = await doing(
        `creating network ${inputs.name}`,
        daemon().createNetwork({
          Name: inputs.name,
          Labels: Object.fromEntries((inputs.labels ?? []).map(({ label, value }) => [label, value])),
          CheckDuplicate: true,
        }),
      );
      return { id };
    },
    async read(id, state) {
      const network = await found(daemon().getNetwork(id).inspect());
      // The types lack that labels and options may be null.
      return network && { ...state, ...networkState(network as Network) };
    },
    delete: (id) => removing("has active endpoints", () => daemon().getNetwork(id).remove()),
  });
}

/** What `docker network inspect` says. */
interface Network {
  Name: string;
  Driver: string;
  Labels: Record<string, string> | null;
  Internal: boolean;
  Options: Record<string, string> | null;
  Scope: string;
  IPAM: {
    Driver: string;
    Config:
      | { Subnet?: string; IPRange?: string; Gateway?: string; AuxiliaryAddresses?: Record<string, string> }[]
      | null;
  };
}

function networkState(network: Network): Properties {
  return {
    name: network.Name,
    driver: network.Driver,
    labels: Object.entries(network.Labels ?? {}).map(([label, value]) => ({ label, value })),
    internal: network.Internal,
    options: network.Options ?? {},
    ipamConfigs: (network.IPAM.Config ?? []).map((config) => ({
      subnet: config.Subnet,
      ipRange: config.IPRange,
      gateway: config.Gateway,
      auxAddress: config.AuxiliaryAddresses,
    })),
    scope: network.Scope,
    // A default of the official plugin: without it it would replace what it takes over.
    ipamDriver: network.IPAM.Driver,
  };
}
