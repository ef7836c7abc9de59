/**
 * What a machine reaches of AWS by itself: its metadata service, at a path of its own instead of 169.254.169.254, and S3, with
 * the credentials of its role and with no more than that role allows.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { DescribeInstancesCommand, type Instance } from "@aws-sdk/client-ec2";
import { GetRolePolicyCommand, ListRolePoliciesCommand } from "@aws-sdk/client-iam";
import type { Cloud } from "./cloud.ts";
import { roleOf } from "./role.ts";

/** The service of all machines. */
export interface Metadata {
  /** Where S3 answers. */
  s3: string;
  /** Where an instance's metadata service answers. */
  of(instance: string): string;
  end(): void;
}

interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: string | Buffer;
}

interface Statement {
  Action: string[];
  Resource: string[];
  Condition?: { StringLike?: { "s3:prefix"?: string[] } };
}

const TOKEN = "x-aws-ec2-metadata-token";

/** Answers at `address`, which the machines can reach. */
export async function startMetadata(cloud: Cloud, address: string): Promise<Metadata> {
  const session = randomBytes(16).toString("hex");
  /** The role of each access key that was handed out. */
  const roles = new Map<string, string>();

  async function answer(request: IncomingMessage): Promise<Answer> {
    const { pathname } = new URL(request.url ?? "", "http://metadata");
    const [, id = "", path] = /^\/(i-\w+)\/latest\/(.*)$/.exec(pathname) ?? [];
    if (path === undefined) return await s3(request);
    if (path === "api/token" && request.method === "PUT") {
      const ttl = String(request.headers[`${TOKEN}-ttl-seconds`]);
      return { status: 200, headers: { [`${TOKEN}-ttl-seconds`]: ttl }, body: session };
    }
    if (request.headers[TOKEN] !== session) return { status: 401 };
    const { Reservations } = await cloud.ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    return await metadata(path, Reservations?.[0]?.Instances?.[0]);
  }

  async function metadata(path: string, instance: Instance | undefined): Promise<Answer> {
    if (path === "meta-data/placement/availability-zone/")
      return { status: 200, body: instance?.Placement?.AvailabilityZone };
    const role = await roleOf(cloud.iam, instance);
    if (path === "meta-data/iam/security-credentials/") return { status: 200, body: role };
    if (role === undefined || path !== `meta-data/iam/security-credentials/${role}`) return { status: 404 };
    const AccessKeyId = `ASIA${randomBytes(8).toString("hex").toUpperCase()}`;
    roles.set(AccessKeyId, role);
    return {
      status: 200,
      body: JSON.stringify({
        Code: "Success",
        LastUpdated: new Date().toISOString(),
        Type: "AWS-HMAC",
        AccessKeyId,
        SecretAccessKey: "testing",
        Token: "testing",
        Expiration: new Date(Date.now() + 6 * 60 * 60 * 1000).toISOString(),
      }),
    };
  }

  async function s3(request: IncomingMessage): Promise<Answer> {
    const { authorization = "", "content-length": _, connection, host, ...headers } = request.headers;
    const role = roles.get(/Credential=(\w+)\//.exec(authorization)?.[1] ?? "");
    if (role === undefined || !allows(await statements(role), request))
      return {
        status: 403,
        body: "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
      };
    const response = await fetch(`${cloud.motoUrl}${request.url}`, {
      method: request.method,
      headers: { ...(headers as Record<string, string>), authorization },
    });
    const body = Buffer.from(await response.arrayBuffer());
    const { connection: _c, ...rest } = Object.fromEntries(response.headers);
    return { status: response.status, headers: rest, body };
  }

  async function statements(RoleName: string): Promise<Statement[]> {
    const { PolicyNames = [] } = await cloud.iam.send(new ListRolePoliciesCommand({ RoleName }));
    const policies = PolicyNames.map((PolicyName) =>
      cloud.iam.send(new GetRolePolicyCommand({ RoleName, PolicyName })),
    );
    return (await Promise.all(policies)).flatMap(
      ({ PolicyDocument = "" }) => JSON.parse(decodeURIComponent(PolicyDocument)).Statement,
    );
  }

  const server = createServer(async (request, response) => {
    await buffer(request);
    const { status, headers, body } = await answer(request).catch((error) => ({
      status: 500,
      headers: {},
      body: String(error),
    }));
    response.writeHead(status, headers).end(body);
  });
  server.listen(0, address);
  await once(server, "listening");
  const url = `http://${address}:${(server.address() as AddressInfo).port}`;
  return {
    s3: url,
    of: (instance) => `${url}/${instance}/`,
    end() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Whether a text is as a pattern of IAM's has it, whose one sign is the star. */
const like = (pattern: string, text: string) =>
  new RegExp(`^${pattern.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*")}$`).test(text);

/** Whether a role may read what is asked for: a list of a bucket, or an object. */
function allows(statements: Statement[], { method = "", url = "" }: IncomingMessage): boolean {
  const { pathname, searchParams } = new URL(url, "http://s3");
  const [, bucket, key = ""] = /^\/([^/]+)\/?(.*)$/.exec(decodeURIComponent(pathname)) ?? [];
  const action = key === "" ? "s3:ListBucket" : "s3:GetObject";
  const resource = `arn:aws:s3:::${bucket}${key && `/${key}`}`;
  return (
    /^(GET|HEAD)$/.test(method) &&
    statements.some(
      ({ Action, Resource, Condition }) =>
        Action.includes(action) &&
        Resource.some((each) => like(each, resource)) &&
        (Condition?.StringLike?.["s3:prefix"] ?? ["*"]).some((each) =>
          like(each, searchParams.get("prefix") ?? ""),
        ),
    )
  );
}
