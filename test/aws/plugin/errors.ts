/** Errors as the official plugin's read: Terraform's list of one, and in it what Amazon's SDK for Go says. */

interface SdkError extends Error {
  $metadata?: { httpStatusCode?: number; requestId?: string; attempts?: number };
  /** Noted by {@link noted}. */
  $call?: string;
}

/** What AWS does not have, in the words of Terraform's helpers. */
export const MISSING = "couldn't find resource";

/** What is needed of a client to note its calls. */
interface Client {
  config: { serviceId: string };
  middlewareStack: { add(step: unknown, options: { step: "initialize" }): void };
}

/** The client, which notes in each of its errors which call it was: "EC2: RunInstances". */
export function noted<T extends object>(client: T): T {
  const { config, middlewareStack } = client as unknown as Client;
  type Handler = (args: unknown) => Promise<unknown>;
  const step =
    (next: Handler, { commandName = "" }: { commandName?: string }): Handler =>
    async (args) => {
      try {
        return await next(args);
      } catch (error) {
        const $call = `${config.serviceId}: ${commandName.replace(/Command$/, "")}`;
        throw Object.assign(error as SdkError, { $call });
      }
    };
  middlewareStack.add(step, { step: "initialize" });
  return client;
}

/** What Amazon's SDK for Go says where this one fails. */
function reason(error: unknown): string {
  const { name, message, $metadata, $call } = error as SdkError;
  if (!$metadata?.httpStatusCode) return message;
  const { httpStatusCode, requestId = "", attempts = 1 } = $metadata;
  // An error that the service's model names comes without "api error".
  const modelled = !/ServiceException$/.test((error as SdkError).constructor.name);
  const code = modelled ? name : `api error ${name}`;
  const tries = attempts > 1 ? `exceeded maximum number of attempts, ${attempts}, ` : "";
  return `operation error ${$call}, ${tries}https response error StatusCode: ${httpStatusCode}, RequestID: ${requestId}, ${code}: ${message}`;
}

/** Awaits a call; its failure says what was being done. */
export async function calling<T>(doing: string, call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw new Error(`${doing}: ${reason(error)}`, { cause: error });
  }
}

/** The error of an operation as the engine gets it; the bridge names none where nothing was made. */
export function listed(operation: string | undefined, error: unknown): Error {
  const prefix = operation === undefined ? "" : `${operation}: `;
  return new Error(`${prefix}1 error occurred:\n\t* ${reason(error)}\n\n`, { cause: error });
}

/** Whether the thing is not there: EC2 says InvalidX.NotFound, IAM NoSuchEntity, SSM ParameterNotFound. */
export function isGone(error: unknown): boolean {
  return /NotFound|NoSuchEntity|NoSuchResource/.test((error as Error).name);
}

/** As {@link calling}, for a look-up to which what is not there is just another failure. */
export async function listing<T>(doing: string, call: Promise<T>): Promise<T> {
  const answer = await calling(doing, found(call));
  if (answer === undefined) throw new Error(`${doing}: ${MISSING}`);
  return answer;
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
