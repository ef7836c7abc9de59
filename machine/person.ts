/** Who runs this, also where the machine knows no name for them: a uid without an entry in /etc/passwd. */
import { userInfo } from "node:os";

/** The name of whoever runs this. */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `user ${process.getuid?.()}`;
  }
}

/** `uid:gid`; the group as the user database has it, whichever one a shell began with (`newgrp`). */
export function userIds(): string {
  try {
    const { uid, gid } = userInfo();
    return `${uid}:${gid}`;
  } catch {
    return `${process.getuid?.()}:${process.getgid?.()}`;
  }
}
