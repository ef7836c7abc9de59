/** The rules, as functions of a resource: what is wrong with it, or nothing. */

/** A resource as the engine is about to make it. */
export interface Resource {
  type: string;
  // biome-ignore lint/suspicious/noExplicitAny: properties are of any shape
  props: Record<string, any>;
}

/** What a rule objects to, one sentence each. */
export type Rule = (resource: Resource) => string[];

const INSTANCE = "aws:ec2/instance:Instance";
const SSH = 22;

/** A network and the ports that it is let in at. */
interface Ingress {
  network: string;
  from: number;
  to: number;
}

/** What a resource lets in, by whichever of the three ways there are to say it. */
function ingresses({ type, props }: Resource): Ingress[] {
  const ports = (rule: Record<string, unknown>) => {
    // Protocol -1 is every protocol, and so every port.
    const every = String(rule.ipProtocol ?? rule.protocol) === "-1";
    return { from: every ? 0 : Number(rule.fromPort ?? 0), to: every ? 65535 : Number(rule.toPort ?? 65535) };
  };
  const of = (rule: Record<string, unknown>, networks: unknown[]) =>
    networks.flatMap((network) => (network ? [{ network: String(network), ...ports(rule) }] : []));
  if (type === "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule") {
    return of(props, [props.cidrIpv4, props.cidrIpv6]);
  }
  if (type === "aws:ec2/securityGroupRule:SecurityGroupRule" && props.type === "ingress") {
    return of(props, [...(props.cidrBlocks ?? []), ...(props.ipv6CidrBlocks ?? [])]);
  }
  if (type !== "aws:ec2/securityGroup:SecurityGroup") return [];
  return (props.ingress ?? []).flatMap((rule: Record<string, unknown[]>) =>
    of(rule, [...(rule.cidrBlocks ?? []), ...(rule.ipv6CidrBlocks ?? [])]),
  );
}

/** Nobody gets in but from a network of at most 256 addresses (one /64 of IPv6). */
export const noOpenIngress: Rule = (resource) =>
  ingresses(resource).flatMap(({ network }) => {
    const bits = Number(network.split("/")[1] ?? 0);
    return bits >= (network.includes(":") ? 64 : 24) ? [] : [`lets in ${network}: give one address with /32`];
  });

/** Disks are encrypted. */
export const encryptedVolumes: Rule = ({ type, props }) => {
  const open = (what: string) => [`${what} is not encrypted: set \`encrypted: true\``];
  if (type === "aws:ebs/volume:Volume") return props.encrypted === true ? [] : open("the volume");
  if (type !== INSTANCE) return [];
  const others: { encrypted?: boolean; deviceName?: string }[] = props.ebsBlockDevices ?? [];
  return [
    ...(props.rootBlockDevice?.encrypted === true ? [] : open("the system disk")),
    ...others.flatMap((each) => (each.encrypted === true ? [] : open(`the disk ${each.deviceName}`))),
  ];
};

/** The metadata service wants a token, and is out of containers' reach. */
export const metadataTokens: Rule = ({ type, props: { metadataOptions = {} } }) => {
  if (type !== INSTANCE || metadataOptions.httpEndpoint === "disabled") return [];
  const { httpTokens, httpPutResponseHopLimit } = metadataOptions;
  return [
    ...(httpTokens === "required"
      ? []
      : ["gives out credentials without a token: set `httpTokens: required`"]),
    ...(Number(httpPutResponseHopLimit) === 1
      ? []
      : ["lets containers reach the metadata service: set `httpPutResponseHopLimit: 1`"]),
  ];
};

/** Jupyter is reached through SSH: no port but SSH's is let in, and containers publish theirs on the loopback. */
export const noPublicJupyter: Rule = (resource) => {
  const open = ingresses(resource).filter(({ from, to }) => from !== SSH || to !== SSH);
  const published: { ip?: string; external?: number }[] =
    resource.type === "docker:index/container:Container" ? (resource.props.ports ?? []) : [];
  return [
    ...open.map(({ from, to }) => `lets in ports ${from} to ${to}: only SSH's ${SSH} may be`),
    ...published
      .filter(({ ip }) => !ip?.startsWith("127."))
      .map(
        ({ ip, external }) => `publishes port ${external} on ${ip || "every address"}: bind it to 127.0.0.1`,
      ),
  ];
};

/** All of them, by the names that a violation is reported with. */
export const RULES: { name: string; description: string; rule: Rule }[] = [
  { name: "no-open-ingress", description: "Nobody gets in but from a small network.", rule: noOpenIngress },
  { name: "encrypted-volumes", description: "Disks are encrypted.", rule: encryptedVolumes },
  {
    name: "metadata-tokens",
    description: "Instance credentials are out of containers' reach (IMDSv2, one hop).",
    rule: metadataTokens,
  },
  {
    name: "no-public-jupyter",
    description: "Notebooks are reached through the loopback.",
    rule: noPublicJupyter,
  },
];
