/** The key with which the machine proves who it is: known before the machine is, so that nobody can stand in for it. */
import { createHash } from "node:crypto";
import { getKeys } from "micro-key-producer/ssh.js";

/** An ed25519 key pair in OpenSSH's formats. */
export interface HostKey {
  /** A secret. */
  privateKey: string;
  /** `ssh-ed25519 AAAA…`, without a comment. */
  publicKey: string;
}

/**
 * The host key of a seed: the same at every run, so that a run without changes changes nothing.
 *
 * @param seed a secret of at least 256 bits, kept encrypted in the state
 */
export function hostKey(seed: string): HostKey {
  const digest = createHash("sha256").update(`gpubox host key\n${seed}`).digest();
  // The format repeats a number to tell a wrong passphrase; without one any will do, and a random one would differ each time.
  const { privateKey, publicKey } = getKeys(digest, "", digest.subarray(0, 4));
  return { privateKey, publicKey: publicKey.trim() };
}
