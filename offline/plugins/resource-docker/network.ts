import type { Resource } from "../shared/provider.ts";
import type { Properties } from "../shared/values.ts";
import { doing, found, removing } from "./docker.ts";
import { type Daemon, tableResource } from "./resource.ts";
import { blocks, flag, map, type Table, text } from "./table.ts";

const replaces = { replaces: true };
const computed = { replaces: true, computed: true };
const required = { required: true, replaces: true };

/** The properties of docker.Network. */
export const networkTable = {
  name: text(required),
  driver: text(computed),
  labels: blocks("set", { label: text(required), value: text(required) }, replaces),
  internal: flag(computed),
  attachable: flag(replaces),
  ipv6: flag(replaces),
  options: map(computed),
  ipamConfigs: blocks(
    "set",
    { subnet: text(replaces), ipRange: text(replaces), gateway: text(replaces), auxAddress: map(replaces) },
    computed,
  ),
} as const satisfies Table;

interface NetworkInputs {
  name: string;
  driver?: string;
  labels?: { label: string; value: string }[];
  internal?: boolean;
  attachable?: boolean;
  ipv6?: boolean;
  options?: Record<string, string>;
  ipamConfigs?: {
    subnet?: string;
    ipRange?: string;
    gateway?: string;
    auxAddress?: Record<string, string>;
  }[];
}

/** docker.Network. */
export function networkResource(daemon: Daemon): Resource {
  return tableResource<NetworkInputs>({
    table: networkTable,
    outputs: ["scope"],
    // Two of one name cannot be.
    deleteBeforeReplace: true,
    async create(inputs) {
      const { id } = await doing(
        `creating network ${inputs.name}`,
        daemon().createNetwork({
          Name: inputs.name,
          Driver: inputs.driver,
          Labels: Object.fromEntries((inputs.labels ?? []).map(({ label, value }) => [label, value])),
          Internal: inputs.internal,
          Attachable: inputs.attachable,
          EnableIPv6: inputs.ipv6,
          Options: inputs.options,
          CheckDuplicate: true,
          IPAM: {
            Driver: "default",
            Config: (inputs.ipamConfigs ?? []).map(({ subnet, ipRange, gateway, auxAddress }) => ({
              ...(subnet && { Subnet: subnet }),
              ...(ipRange && { IPRange: ipRange }),
              ...(gateway && { Gateway: gateway }),
              ...(auxAddress && { AuxiliaryAddresses: auxAddress }),
            })),
          },
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
  Attachable: boolean;
  EnableIPv6: boolean;
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
    attachable: network.Attachable,
    ipv6: network.EnableIPv6,
    options: network.Options ?? {},
    ipamConfigs: (network.IPAM.Config ?? []).map((config) => ({
      subnet: config.Subnet,
      ipRange: config.IPRange,
      gateway: config.Gateway,
      auxAddress: config.AuxiliaryAddresses,
    })),
    scope: network.Scope,
    // No input here, but a default of the official plugin: without it it would replace what it takes over.
    ipamDriver: network.IPAM.Driver,
  };
}
