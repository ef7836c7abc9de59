import type { Resource } from "../shared/provider.ts";
import { found, type Logins, loginAddress } from "./docker.ts";
import { ensureImage } from "./pull.ts";
import { type Daemon, tableResource } from "./resource.ts";
import { always, type Table, text } from "./table.ts";

const replaces = { replaces: true };

/** The properties of docker.RemoteImage. */
export const remoteImageTable = {
  name: text({ required: true, replaces: true }),
  // Images are never removed.
  keepLocally: always(true),
  platform: text(replaces),
} as const satisfies Table;

interface RemoteImageInputs {
  name: string;
  platform?: string;
}

/** docker.RemoteImage: an image that is pulled unless the daemon has it. */
export function remoteImageResource(daemon: Daemon, logins: () => Logins = () => []): Resource {
  return tableResource<RemoteImageInputs>({
    table: remoteImageTable,
    outputs: ["imageId", "repoDigest"],
    deleteBeforeReplace: false,
    async create({ name, platform }, operation) {
      const login = logins().find(({ address }) => address === loginAddress(name));
      const image = await ensureImage(daemon(), name, operation, { platform, login });
      return { id: image.Id + name };
    },
    async read(_, state) {
      const name = String(state.name);
      const image = await found(daemon().getImage(name).inspect());
      return image && { ...state, imageId: image.Id, repoDigest: repoDigest(name, image.RepoDigests ?? []) };
    },
  });
}

/** The digest under this name, of an image that may be in several registries; "" when it was never in any. */
export function repoDigest(name: string, digests: string[]): string {
  const [repository = name] = name.split(":");
  return digests.find((digest) => digest.startsWith(repository)) ?? digests[0] ?? "";
}
