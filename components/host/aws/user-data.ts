/** What the machine is told at its first start. Small: everything else is done over SSH, where it can be seen and tried again. */
import { stringify } from "yaml";
import type { HostKey } from "./host-key.ts";

/** Made at the end of the first start; what waits for the machine looks for it. */
export const SENTINEL = "/var/lib/gpubox/booted";

/** cloud-init's configuration: the machine's host key, and a sign that all of it was done. A secret, as the key is. */
export function userData({ privateKey, publicKey }: HostKey): string {
  const config = {
    ssh_deletekeys: true,
    ssh_keys: { ed25519_private: privateKey, ed25519_public: publicKey },
    disable_root: true,
    ssh_pwauth: false,
    // Nothing is installed or upgraded: a new kernel would leave the image's driver behind.
    package_update: false,
    package_upgrade: false,
    runcmd: [
      ["mkdir", "-p", SENTINEL.slice(0, SENTINEL.lastIndexOf("/"))],
      ["touch", SENTINEL],
    ],
  };
  return `#cloud-config\n${stringify(config, { lineWidth: 0 })}`;
}
