/** How many vCPUs an account may run at a time, family by family. Pure. */

/** A service quota of EC2. */
export interface Quota {
  code: string;
  /** Its name in the console. */
  name: string;
}

const ON_DEMAND: [families: RegExp, quota: Quota][] = [
  [/^(g|vt)\d/, { code: "L-DB2E81BA", name: "Running On-Demand G and VT instances" }],
  [/^p\d/, { code: "L-417A185B", name: "Running On-Demand P instances" }],
];
const SPOT: [families: RegExp, quota: Quota][] = [
  [/^(g|vt)\d/, { code: "L-3819A6DF", name: "All G and VT Spot Instance Requests" }],
];

/** The quota that a type counts against; undefined for one that is not known here. */
export function quotaOf(instanceType: string, spot: boolean): Quota | undefined {
  return (spot ? SPOT : ON_DEMAND).find(([families]) => families.test(instanceType))?.[1];
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
  return `${instanceType} needs ${needed} vCPUs and this account may run ${allowed} in ${region} (quota ${quota.code}, "${quota.name}"): ask for ${needed} or more under Service Quotas > AWS services > Amazon Elastic Compute Cloud (Amazon EC2) > ${quota.name}, https://${region}.console.aws.amazon.com/servicequotas/home/services/ec2/quotas/${quota.code}`;
}
