/** Where an instance can be put: subnets with a way to the internet, which a machine needs for all that it fetches. */

import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { AwsHostArgs } from "../../../config/host/aws.ts";
import { inWords, whyUnanswered } from "../../../machine/aws/unanswered.ts";
import { ask, refuse } from "./ask.ts";

/** A subnet in its zone. */
export interface Subnet {
  id: string;
  zone: string;
}

/** A VPC with those of its subnets that serve. */
export interface Network {
  vpc: string;
  subnets: Subnet[];
}

/** What the network depends on. */
export interface NetworkArgs {
  host: AwsHostArgs;
  provider: aws.Provider;
}

/**
 * The subnet that is named, or the default ones of the region.
 *
 * @throws UserError where there is none that a machine could be reached in
 */
export async function findNetwork(args: NetworkArgs): Promise<Network> {
  const { host, provider } = args;
  const network = host.subnet === undefined ? await defaultNetwork(args) : await named(args, host.subnet);
  const looks = network.subnets.map((subnet) => wayOut(subnet, network.vpc, provider));
  const problems = (await Promise.all(looks)).map((way) => wayProblem(way, host.access));
  const subnets = network.subnets.filter((_, index) => problems[index] === undefined);
  if (subnets.length > 0) return { ...network, subnets };
  // The default ones have one table, mostly, and so one problem.
  const [{ id } = { id: "" }] = network.subnets;
  if (host.subnet !== undefined)
    return refuse(`gpubox:host.subnet: ${id} ${problems[0]}, or name another subnet`);
  const why = id === "" ? "there is none" : `${id} ${problems[0]}`;
  return refuse(
    `no default subnet of region ${host.region} can be used: ${why}; or set another as gpubox:host.subnet`,
  );
}

async function named({ host, provider }: NetworkArgs, subnet: string): Promise<Network> {
  const { id, vpcId, availabilityZone } = await ask(
    {
      key: "subnet",
      question: `where ${subnet} is`,
      absent: `gpubox:host.subnet: ${subnet} does not exist in ${host.region}`,
    },
    aws.ec2.getSubnet({ id: subnet }, { provider }),
  );
  return { vpc: vpcId, subnets: [{ id, zone: availabilityZone }] };
}

async function defaultNetwork({ host, provider }: NetworkArgs): Promise<Network> {
  const { region } = host;
  const { id: vpc } = await ask(
    {
      question: `which is the default VPC of region ${region}`,
      absent: `region ${region} has no default VPC: make one with \`aws ec2 create-default-vpc --region ${region}\`, or name a subnet as gpubox:host.subnet`,
    },
    aws.ec2.getVpc({ default: true }, { provider }),
  );
  const filters = [
    { name: "vpc-id", values: [vpc] },
    { name: "default-for-az", values: ["true"] },
  ];
  const question = `which subnets ${vpc} has`;
  const { ids } = await ask({ question }, aws.ec2.getSubnets({ filters }, { provider }));
  const subnets = await Promise.all(
    ids.map((id) => ask({ question }, aws.ec2.getSubnet({ id }, { provider }))),
  );
  return { vpc, subnets: subnets.map(({ id, availabilityZone }) => ({ id, zone: availabilityZone })) };
}

/** Where a subnet's default route leads. */
interface Way {
  /** Id of the route table; undefined where it cannot be read. */
  table: string | undefined;
  /** Id of what the default route leads to, `igw-…`, `nat-…`; undefined where there is none. */
  target: string | undefined;
}

/** Where it cannot be read that is said, and let pass: launching needs no permission to read it. */
async function wayOut({ id }: Subnet, vpcId: string, provider: aws.Provider): Promise<Way> {
  try {
    const table = await routeTable(id, vpcId, provider);
    const route = table.routes.find(({ cidrBlock }) => cidrBlock === "0.0.0.0/0");
    const { cidrBlock: _, ipv6CidrBlock: __, destinationPrefixListId: ___, ...targets } = route ?? {};
    return { table: table.routeTableId, target: Object.values(targets).find(Boolean) };
  } catch (error) {
    const why = inWords(whyUnanswered(error));
    pulumi.log.warn(`whether ${id} has a route to the internet was not checked, as AWS does not say: ${why}`);
    return { table: undefined, target: undefined };
  }
}

/** A subnet without a route table of its own has the VPC's main one. */
async function routeTable(subnetId: string, vpcId: string, provider: aws.Provider) {
  return await aws.ec2.getRouteTable({ subnetId }, { provider }).catch((error) => {
    if (whyUnanswered(error).kind !== "absent") throw error;
    const filters = [{ name: "association.main", values: ["true"] }];
    return aws.ec2.getRouteTable({ vpcId, filters }, { provider });
  });
}

/** Why a machine in a subnet would be of no use, with how to fix it; undefined where it would be. Pure. */
export function wayProblem({ table, target }: Way, access: AwsHostArgs["access"]): string | undefined {
  if (table === undefined || target?.startsWith("igw-")) return undefined;
  if (target === undefined) {
    return `has no route to the internet (${table}), so a machine there could download nothing: add a route for 0.0.0.0/0 to an internet gateway`;
  }
  if (access === "session-manager") return undefined;
  return `reaches the internet through ${target} (${table}), which lets nothing in, so SSH could not reach a machine there: add a route for 0.0.0.0/0 to an internet gateway, use \`access: session-manager\``;
}
