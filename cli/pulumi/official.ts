/** Whether the official downloads can be had from here. */
import type { Context } from "../context.ts";
import type { Env } from "../system/run.ts";
import { step } from "../ui/say.ts";

const DOWNLOADS = "https://get.pulumi.com/install.sh";
/** Long enough for a slow line to answer, short enough to wait for once a day. */
const PATIENCE_MS = 5_000;
const KEY = "official downloads";

/** The environment in which something official is downloaded, to where it is looked for. */
export function downloadEnv({ env, pulumiHome }: Pick<Context, "env" | "pulumiHome">): Env {
  return { ...env, PULUMI_HOME: pulumiHome, PULUMI_SKIP_UPDATE_CHECK: "true" };
}

/** Asks the download server, at most once a day. */
export async function canDownloadOfficial(
  { memo }: Pick<Context, "memo">,
  ask: () => Promise<boolean> = askServer,
): Promise<boolean> {
  const known = memo.get(KEY);
  if (known !== undefined) return known === "yes";
  const reachable = await step("official downloads of Pulumi: trying to reach them", ask, (value) =>
    value ? "reachable" : "not reachable, not tried again for a day",
  );
  memo.set(KEY, reachable ? "yes" : "no");
  return reachable;
}

/** Remembers for a day that a download failed although the server had answered. */
export function rememberNoDownloads({ memo }: Pick<Context, "memo">): void {
  memo.set(KEY, "no");
}

async function askServer(): Promise<boolean> {
  try {
    const response = await fetch(DOWNLOADS, { method: "HEAD", signal: AbortSignal.timeout(PATIENCE_MS) });
    return response.ok;
  } catch {
    return false;
  }
}
