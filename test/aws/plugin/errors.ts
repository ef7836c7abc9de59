/** Errors of the SDK. */

interface SdkError extends Error {
  $metadata?: { httpStatusCode?: number; requestId?: string };
}

/** Awaits a call; its failure reads as the official plugin's does. */
export async function calling<T>(
  doing: string,
  service: string,
  operation: string,
  call: Promise<T>,
): Promise<T> {
  try {
    return await call;
  } catch (error) {
    const { name, message, $metadata } = error as SdkError;
    if (!$metadata?.httpStatusCode) throw new Error(`${doing}: ${message}`, { cause: error });
    throw new Error(
      `${doing}: operation error ${service}: ${operation}, https response error StatusCode: ` +
        `${$metadata.httpStatusCode}, RequestID: ${$metadata.requestId ?? ""}, api error ${name}: ${message}`,
      { cause: error },
    );
  }
}

/** Whether the thing is not there: EC2 says InvalidX.NotFound, IAM NoSuchEntity. */
export function isGone(error: unknown): boolean {
  return /NotFound|NoSuchEntity/.test((error as Error).name);
}

/** The answer, or undefined where the thing is not there. */
export async function found<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}
