/**
 * How many vCPUs an account may run at a time, family by family. Pure.
 *
 * Names and codes: https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html, where each name links to its code.
 */
import { type Check, check } from "../checks/check.ts";
import type { TypeFacts } from "./types.ts";
import { inWords, whyUnanswered } from "./unanswered.ts";

/** A service quota of EC2. */
export interface Quota {
  code: string;
  /** Its name in the console. */
  name: string;
}

/** Types that AWS counts together, by how their names begin. */
type Family = [types: RegExp, quota: Quota];

/** That page has no gr: it is the G family with more memory. */
const G = /^(g|gr|vt)\d/;
/** `im` and `is` are of the I family. */
const STANDARD = /^([acdhmrtz]|i[ms]?)\d/;

const ON_DEMAND: Family[] = [
  [G, { code: "L-DB2E81BA", name: "Running On-Demand G and VT instances" }],
  [/^p\d/, { code: "L-417A185B", name: "Running On-Demand P instances" }],
  [
    STANDARD,
    { code: "L-1216C47A", name: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances" },
  ],
  [/^dl\d/, { code: "L-6E869C2A", name: "Running On-Demand DL instances" }],
  [/^inf\d/, { code: "L-1945791B", name: "Running On-Demand Inf instances" }],
  [/^trn\d/, { code: "L-2C3B7624", name: "Running On-Demand Trn instances" }],
  [/^x\d/, { code: "L-7295265B", name: "Running On-Demand X instances" }],
  [/^u[-\d]/, { code: "L-43DA4232", name: "Running On-Demand High Memory instances" }],
  [/^f\d/, { code: "L-74FC7D96", name: "Running On-Demand F instances" }],
  [/^hpc\d/, { code: "L-F7808C92", name: "Running On-Demand HPC instances" }],
];

/** That page has none for P6, High Memory and HPC. */
const SPOT: Family[] = [
  [G, { code: "L-3819A6DF", name: "All G and VT Spot Instance Requests" }],
  [/^p[2-4]/, { code: "L-7212CCBC", name: "All P4, P3 and P2 Spot Instance Requests" }],
  [/^p5/, { code: "L-C4BD4855", name: "All P5 Spot Instance Requests" }],
  [STANDARD, { code: "L-34B43A08", name: "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests" }],
  [/^dl\d/, { code: "L-85EED4F7", name: "All DL Spot Instance Requests" }],
  [/^inf\d/, { code: "L-B5D1601B", name: "All Inf Spot Instance Requests" }],
  [/^trn\d/, { code: "L-6B0D517C", name: "All Trn Spot Instance Requests" }],
  [/^x\d/, { code: "L-E3A00192", name: "All X Spot Instance Requests" }],
  [/^f\d/, { code: "L-88CF9481", name: "All F Spot Instance Requests" }],
];

/** The quota that a type counts against; undefined for one that is not known here. */
export function quotaOf(instanceType: string, spot: boolean): Quota | undefined {
  return (spot ? SPOT : ON_DEMAND).find(([types]) => types.test(instanceType))?.[1];
}

/** What is asked of a quota. */
export interface QuotaNeed {
  instanceType: string;
  region: string;
  quota: Quota;
  /** vCPUs of the type. */
  needed: number;
  /** vCPUs the account may run at a time. */
  allowed: number;
}

/** Why a type cannot be launched, with where to ask for more; undefined where it fits. */
export function quotaProblem({
  instanceType,
  region,
  quota,
  needed,
  allowed,
}: QuotaNeed): string | undefined {
  if (needed <= allowed) return undefined;
  return `${instanceType} needs ${needed} vCPUs and this account may run ${allowed} in ${region} (${named(quota)}): ask for ${needed} or more ${where(quota, region)}`;
}

/** Whether an account may launch a type, as far as it is known. */
export interface JudgedType {
  instanceType: string;
  /** What cannot be known is let pass: launching needs no permission to read a quota. */
  fits: boolean;
  /** What is to be said of it, also where it was let pass. */
  problem?: string;
  /** What the account may run and what the type takes, in words. */
  found: string;
  needed: string;
}

/** What types are judged by. */
export interface QuotaArgs {
  region: string;
  spot: boolean;
  /** Asks for the value of a quota by its code. */
  read: (code: string) => Promise<number>;
}

/** Judges types by the quotas that they count against. */
export async function judgeQuotas(
  types: Pick<TypeFacts, "instanceType" | "vcpus">[],
  args: QuotaArgs,
): Promise<JudgedType[]> {
  return await Promise.all(types.map((type) => judgeQuota(type, args)));
}

async function judgeQuota(
  { instanceType, vcpus: needed }: Pick<TypeFacts, "instanceType" | "vcpus">,
  { region, spot, read }: QuotaArgs,
): Promise<JudgedType> {
  const unchecked = { instanceType, fits: true, found: "unknown", needed: `${needed} vCPUs` };
  const quota = quotaOf(instanceType, spot);
  if (!quota) {
    const problem = `the quota of ${instanceType}${spot ? " on spot" : ""} is not known to gpubox and was not checked`;
    return { ...unchecked, problem };
  }
  const { code, name } = quota;
  try {
    const allowed = await read(code);
    const problem = quotaProblem({ instanceType, region, quota, needed, allowed });
    const about = { ...unchecked, found: `${allowed} vCPUs (${code})` };
    return problem === undefined ? about : { ...about, fits: false, problem };
  } catch (error) {
    const why = inWords(whyUnanswered(error));
    const problem = `quota ${code} (${name}) cannot be read, so whether ${instanceType} fits was not checked: ${why}`;
    return { ...unchecked, problem };
  }
}

/** Whether a stack cannot come up: one of its types has to fit. */
export const noneFits = (judged: JudgedType[]): boolean =>
  judged.length > 0 && judged.every(({ fits }) => !fits);

/** The checks of types that were judged. */
export function quotaChecks(judged: JudgedType[]): Check[] {
  const otherwise = noneFits(judged) ? "fail" : "warn";
  return judged.map(({ instanceType, problem, ...about }) =>
    check(
      `quota for ${instanceType}`,
      { found: about.found, needed: about.needed },
      problem && `gpubox:host.instanceTypes: ${problem}`,
      otherwise,
    ),
  );
}

/** How to fix that EC2 itself refuses a launch by the account's limit: what runs already counts, which only EC2 sees. */
export function quotaReached(instanceType: string, spot: boolean, region: string): string {
  const quota = quotaOf(instanceType, spot);
  const what = `this account's limit for ${instanceType}${spot ? " on spot" : ""} in ${region} is reached`;
  return quota
    ? `${what} (${named(quota)}; all that runs of its kind counts): stop what you can spare, or ask for more ${where(quota, region)}`
    : `${what}: stop what you can spare, or ask for more under ${CONSOLE}, ${link("home/services/ec2/quotas", region)}`;
}

const CONSOLE = "Service Quotas > AWS services > Amazon Elastic Compute Cloud (Amazon EC2)";

const named = ({ code, name }: Quota) => `quota ${code}, "${name}"`;
const where = ({ code, name }: Quota, region: string) =>
  `under ${CONSOLE} > ${name}, ${link(`home/services/ec2/quotas/${code}`, region)}`;
const link = (path: string, region: string) =>
  `https://${region}.console.aws.amazon.com/servicequotas/${path}`;
