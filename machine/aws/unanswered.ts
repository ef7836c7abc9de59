/** Why AWS gave no answer: the reason that it gives, and how to fix it. Pure. */
import { commandLine } from "../../text/command-line.ts";

/** Why AWS gave no answer. */
export interface Unanswered {
  /** Whether it says that there is no such thing; that it does not know who asks; that who asks may not; or something else. */
  kind: "absent" | "login" | "permission" | "other";
  /** Its own words, in one line. */
  reason: string;
  /** How to fix it; undefined where that is not known. */
  advice: string | undefined;
}

const CLOCK = /clock skew|RequestTimeTooSkewed/i;
const LOGIN =
  /ExpiredToken|RequestExpired|InvalidClientTokenId|UnrecognizedClient|InvalidAccessKeyId|SignatureDoesNotMatch|AuthFailure|InvalidToken|no valid credential sources|[Nn]o EC2 IMDS role|get credentials|refresh cached credentials|CredentialsProviderError|SSO (session|token)|token has expired/;
const PERMISSION = /UnauthorizedOperation|AccessDenied|\bnot authorized\b/i;
const ABSENT =
  /\bInvalid\w+\.NotFound\b|ParameterNotFound|ParameterVersionNotFound|InvalidInstanceType\b|NoSuch(Entity|Resource)|returned no results|no matching|empty result|couldn't find resource/i;

/** The call that an error of AWS's is about: "operation error EC2: DescribeImages, …, RequestID: 1-2, api error CODE: message". */
const API_ERROR =
  /operation error ([\w ]+): (\w+),[\s\S]*?\bRequestID: [\w-]*, (?:api error )?(\w[\w.]*): ([\s\S]*)/;

/**
 * Reads why a call failed, from an error of the provider's look-ups or of Amazon's own client.
 *
 * The provider's message has several lines, and its reasons stand behind `* `.
 */
export function whyUnanswered(error: unknown): Unanswered {
  const { name, message } = error as Error;
  const text = String(message ?? error);
  const listed = [...text.matchAll(/^\s*\* (.+(?:\n(?!\s*\*|\s*$).+)*)/gm)].map(([, item]) => item as string);
  const isNamed = name !== undefined && !/^(Error|RunError|\w*Exception \[)/.test(name);
  const all = listed.length > 0 ? listed.join("; ") : isNamed ? `${name}: ${text}` : text;
  const kind = kindOf(all);
  const [, service, operation, code, said] = API_ERROR.exec(all) ?? [];
  const reason = code ? `${service} ${operation}: ${code}: ${said}` : all;
  const advice = CLOCK.test(all) ? "set the clock of this machine" : ADVICE[kind];
  return { kind, reason: oneLine(reason) || "no reason given", advice };
}

function kindOf(said: string): Unanswered["kind"] {
  if (CLOCK.test(said)) return "other";
  if (PERMISSION.test(said)) return "permission";
  if (LOGIN.test(said)) return "login";
  return ABSENT.test(said) ? "absent" : "other";
}

const oneLine = (text: string) =>
  text
    .replace(/\s+/g, " ")
    .replace(/\.?\s*$/, "")
    .trim();

const ADVICE: Record<Unanswered["kind"], string | undefined> = {
  absent: undefined,
  login:
    "log in again, with `aws sso login` or `aws configure`; `aws sts get-caller-identity` says who you are",
  permission: `ask the account's administrator to allow it: \`${commandLine("permissions")}\` prints the policy that gpubox needs`,
  other: undefined,
};

/** The whole of it, as a message ends. */
export const inWords = ({ reason, advice }: Unanswered): string => (advice ? `${reason}: ${advice}` : reason);

/** What AWS is asked. */
export interface Question {
  /** Key of the host's configuration that is behind it, where one is. */
  key?: string;
  /** As in "AWS does not say …". */
  question: string;
  /** The problem where there is no such thing; without it, that is one more thing that AWS does not say. */
  absent?: string;
}

/** The problem where it gives no answer that a stack can go on with. */
export function unansweredProblem({ key, question, absent }: Question, error: unknown): string {
  const why = whyUnanswered(error);
  if (why.kind === "absent" && absent !== undefined) return `${absent} (${why.reason})`;
  return `${key ? `gpubox:host.${key}: ` : ""}AWS does not say ${question}: ${inWords(why)}`;
}
