/**
 * A cloud for the tests: AWS's interface on the loopback. What moto knows it answers; what moto lacks (parameters,
 * quotas, no capacity) is answered here in AWS's own words; and what a call changes becomes real before it is answered,
 * when there are machines behind it.
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import {
  DescribeAddressesCommand,
  DescribeInstancesCommand,
  DisassociateAddressCommand,
  EC2Client,
} from "@aws-sdk/client-ec2";
import { IAMClient } from "@aws-sdk/client-iam";
import { type Moto, startMoto } from "./moto.ts";
import { SpotRequests } from "./spot.ts";

/** The region that there is. */
export const REGION = "us-east-1";

/** The parameter with the newest Deep Learning AMI, and the AMI in it. */
export const AMI_PARAMETER =
  "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id";
export const AMI = "ami-0123456789abcdef0";

/** Quota codes of EC2, in vCPUs a region. */
export const QUOTAS = { onDemandG: "L-DB2E81BA", spotG: "L-3819A6DF", onDemandP: "L-417A185B" };

/** A quota as Service Quotas has it. */
export interface Quota {
  name: string;
  value: number;
}

/** What follows the instances: see {@link Machines}. */
export interface Follower {
  /** An address for AllocateAddress, that can be reached from here. */
  freeAddress(): Promise<string>;
  /** Makes everything as moto has it now. */
  reconcile(): Promise<void>;
}

/** A cloud that runs. */
export interface Cloud {
  /** Where it answers. */
  url: string;
  /** What a person's commands need in their environment to be sent here. */
  env: Record<string, string>;
  /** Folder of the plugin, for the person's PATH. */
  plugin: string;
  /** Clients of it. */
  ec2: EC2Client;
  iam: IAMClient;
  /** A client of moto itself: nothing becomes of what it changes. */
  moto: EC2Client;
  /** Where moto answers. */
  motoUrl: string;
  /** Values of SSM parameters, by name. */
  parameters: Map<string, string>;
  /** Quotas of the service ec2, by code. */
  quotas: Map<string, Quota>;
  /** Where there is no capacity: "g6.xlarge us-east-1a". */
  noCapacity: Set<string>;
  /** Every call so far: "RunInstances". */
  calls: string[];
  /** Puts machines behind it. */
  follow(follower: Follower): void;
  end(): Promise<void>;
}

/** Starts a cloud with a default VPC and nothing in it. */
export async function startCloud(): Promise<Cloud> {
  const folder = mkdtempSync(join(tmpdir(), "gpubox-cloud-"));
  const images = join(folder, "images.json");
  writeFileSync(images, JSON.stringify([deepLearningImage]));
  const moto = await startMoto(images);
  const state = {
    parameters: new Map([[AMI_PARAMETER, AMI]]),
    quotas: new Map<string, Quota>([
      [QUOTAS.onDemandG, { name: "Running On-Demand G and VT instances", value: 64 }],
      [QUOTAS.spotG, { name: "All G and VT Spot Instance Requests", value: 64 }],
      [QUOTAS.onDemandP, { name: "Running On-Demand P instances", value: 64 }],
    ]),
    noCapacity: new Set<string>(),
    calls: [] as string[],
  };
  let follower: Follower | undefined;
  const credentials = { accessKeyId: "testing", secretAccessKey: "testing" };
  const client = new EC2Client({ region: REGION, endpoint: moto.url, credentials });
  const server = await serve(moto, client, state, () => follower);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    ...state,
    url,
    env: {
      AWS_ENDPOINT_URL: url,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_EC2_METADATA_DISABLED: "true",
      // Nothing of the person's own.
      AWS_CONFIG_FILE: "/dev/null",
      AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
    },
    plugin: fileURLToPath(new URL("../aws/plugin", import.meta.url)),
    ec2: new EC2Client({ region: REGION, endpoint: url, credentials }),
    iam: new IAMClient({ region: REGION, endpoint: url, credentials }),
    moto: client,
    motoUrl: moto.url,
    follow: (machines) => {
      follower = machines;
    },
    async end() {
      server.closeAllConnections();
      server.close();
      await moto.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** As moto's MOTO_AMIS_PATH wants it. */
const deepLearningImage = {
  ami_id: AMI,
  architecture: "x86_64",
  description: "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04), of the tests",
  hypervisor: "xen",
  image_location: "amazon/deep-learning-base",
  image_type: "machine",
  name: "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 24.04) of the tests",
  owner_id: "898082745236",
  platform: "",
  public: true,
  root_device_name: "/dev/sda1",
  root_device_type: "ebs",
  sriov: "simple",
  state: "available",
  virtualization_type: "hvm",
};

type State = Pick<Cloud, "parameters" | "quotas" | "noCapacity" | "calls">;

/** One call, in either of the two ways in which AWS's services are spoken to. */
interface Call {
  action: string;
  parameters: Record<string, string>;
}

interface Answer {
  status: number;
  type: string;
  body: string | Buffer;
}

/** Calls after which something is to become real. */
const CHANGES =
  /^(RunInstances|(Start|Stop|Terminate)Instances|(Attach|Detach)Volume|DeleteVolume|(Associate|Disassociate|Release)Address)$/;

async function serve(
  moto: Moto,
  client: EC2Client,
  state: State,
  machines: () => Follower | undefined,
): Promise<Server> {
  const spot = new SpotRequests();
  const server = createServer(async (request, response) => {
    try {
      const given = await buffer(request);
      const call = parse(request.headers, given);
      state.calls.push(call.action);
      const answer =
        own(call, state) ??
        ownSpot(spot, call) ??
        (await wrongState(client, call)) ??
        (await pass(call, given));
      const headers = { "content-type": answer.type, "x-amzn-requestid": randomUUID() };
      response.writeHead(answer.status, headers).end(answer.body);
    } catch (error) {
      const { status, type, body } = ec2Error(500, "InternalError", String(error));
      response.writeHead(status, { "content-type": type }).end(body);
    }

    async function pass(call: Call, given: Buffer): Promise<Answer> {
      const body = await amended(call, given, machines());
      const { host, "content-length": _, connection, ...headers } = request.headers as Record<string, string>;
      const url = `${moto.url}${request.url}`;
      const send = (sent: Buffer) =>
        fetch(url, {
          method: request.method,
          headers,
          ...(sent.length > 0 && { body: sent as Buffer<ArrayBuffer> }),
        });
      const answer = await send(body);
      const content = Buffer.from(await answer.arrayBuffer());
      if (answer.ok && call.action === "RunInstances")
        spot.launched(call.parameters, launchedIn(String(content)), async () =>
          launchedIn(await (await send(withoutTags(body))).text()),
        );
      if (answer.ok && call.action === "TerminateInstances") await disassociate(client, instancesOf(call));
      if (answer.ok) await spot.follow(call.action, instancesOf(call));
      if (answer.ok && CHANGES.test(call.action)) await machines()?.reconcile();
      return {
        status: answer.status,
        type: answer.headers.get("content-type") ?? "text/xml",
        body: /^(Run|Describe)Instances$/.test(call.action) ? spot.mark(String(content)) : content,
      };
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function parse(headers: IncomingHttpHeaders, body: Buffer): Call {
  const target = headers["x-amz-target"];
  if (target)
    return { action: String(target).split(".")[1] ?? "", parameters: JSON.parse(String(body) || "{}") };
  const parameters = Object.fromEntries(new URLSearchParams(body.toString()));
  return { action: parameters.Action ?? "", parameters };
}

/** A call as moto has to be told it to do what AWS does. */
async function amended({ action }: Call, body: Buffer, machines: Follower | undefined): Promise<Buffer> {
  // Moto's own public addresses lead nowhere.
  if (action === "AllocateAddress" && machines)
    return Buffer.from(`${body}&Address=${await machines.freeAddress()}`);
  if (action === "AssociateAddress") return Buffer.from(`${body}&AllowReassociation=true`);
  return body;
}

/** Ids of the instances that a call is about. */
function instancesOf({ parameters }: Call): string[] {
  return Object.entries(parameters).flatMap(([name, value]) => (/^InstanceId\.\d+$/.test(name) ? value : []));
}

/** The id of the instance that RunInstances answers with. */
function launchedIn(xml: string): string {
  return /<instanceId>(i-\w+)</.exec(xml)?.[1] ?? "";
}

/** A launch as a spot request repeats it: the tags were for the first instance. */
function withoutTags(launch: Buffer): Buffer {
  const parameters = [...new URLSearchParams(launch.toString())];
  const rest = parameters.filter(([name]) => !name.startsWith("TagSpecification."));
  return Buffer.from(new URLSearchParams(rest).toString());
}

/** What is about spot requests. */
function ownSpot(spot: SpotRequests, call: Call): Answer | undefined {
  const [missing] = spot.missing(call.parameters);
  if (missing)
    return ec2Error(
      400,
      "InvalidSpotInstanceRequestID.NotFound",
      `The spot instance request ID '${missing}' does not exist`,
    );
  const body = spot.answer(call.action, call.parameters);
  if (body) return { status: 200, type: "text/xml;charset=UTF-8", body };
  const refused = spot.refusal(call.action, instancesOf(call));
  return refused === undefined ? undefined : ec2Error(400, "UnsupportedOperation", refused);
}

/** An instance that goes lets go of its address; moto's does not. */
async function disassociate(moto: EC2Client, instances: string[]): Promise<void> {
  const { Addresses = [] } = await moto.send(new DescribeAddressesCommand({}));
  for (const { AssociationId, InstanceId = "" } of Addresses)
    if (instances.includes(InstanceId)) await moto.send(new DisassociateAddressCommand({ AssociationId }));
}

/** AWS refuses to start or stop what was terminated; moto brings it back. */
async function wrongState(moto: EC2Client, call: Call): Promise<Answer | undefined> {
  const [, verb = ""] = /^(Start|Stop)Instances$/.exec(call.action) ?? [];
  if (verb === "") return undefined;
  const { Reservations = [] } = await moto.send(new DescribeInstancesCommand({}));
  const gone = Reservations.flatMap(({ Instances = [] }) => Instances).find(
    ({ InstanceId = "", State }) => State?.Name === "terminated" && instancesOf(call).includes(InstanceId),
  );
  const done = verb === "Start" ? "started" : "stopped";
  const message = `The instance '${gone?.InstanceId}' is not in a state from which it can be ${done}.`;
  return gone && ec2Error(400, "IncorrectInstanceState", message);
}

/** What is not left to moto. */
function own({ action, parameters }: Call, state: State): Answer | undefined {
  if (action === "GetParameter") {
    const { Name = "" } = parameters;
    const Value = state.parameters.get(Name);
    if (Value === undefined) return jsonError("ParameterNotFound", `Parameter ${Name} not found.`);
    const ARN = `arn:aws:ssm:${REGION}::parameter${Name}`;
    return json({ Parameter: { ARN, Name, Type: "String", Value, Version: 1, DataType: "text" } });
  }
  if (action === "GetServiceQuota" || action === "GetAWSDefaultServiceQuota") {
    const { ServiceCode = "", QuotaCode = "" } = parameters;
    const quota = state.quotas.get(QuotaCode);
    if (!quota)
      return jsonError(
        "NoSuchResourceException",
        "The request failed because the specified quota does not exist.",
      );
    return json({ Quota: quotaAnswer(ServiceCode, QuotaCode, quota, action === "GetServiceQuota") });
  }
  if (action === "RunInstances") {
    const { InstanceType: type = "", "Placement.AvailabilityZone": zone = "" } = parameters;
    if (state.noCapacity.has(`${type} ${zone}`)) return noCapacity(type, zone);
  }
  return undefined;
}

function quotaAnswer(ServiceCode: string, QuotaCode: string, { name, value }: Quota, applied: boolean) {
  return {
    ServiceCode,
    ServiceName: "Amazon Elastic Compute Cloud (Amazon EC2)",
    QuotaArn: `arn:aws:servicequotas:${REGION}:${applied ? "123456789012" : ""}:${ServiceCode}/${QuotaCode}`,
    QuotaCode,
    QuotaName: name,
    // A new account's; what it was raised to since is the applied value.
    Value: applied ? value : 0,
    Unit: "None",
    Adjustable: true,
    GlobalQuota: false,
  };
}

function noCapacity(type: string, zone: string): Answer {
  return ec2Error(
    500,
    "InsufficientInstanceCapacity",
    `We currently do not have sufficient ${type} capacity in the Availability Zone you requested (${zone}). ` +
      "Our system will be working on provisioning additional capacity. You can currently get " +
      `${type} capacity by not specifying an Availability Zone in your request or choosing another one.`,
  );
}

function ec2Error(status: number, code: string, message: string): Answer {
  const text = message.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const error = `<Error><Code>${code}</Code><Message>${text}</Message></Error>`;
  const body = `<?xml version="1.0" encoding="UTF-8"?><Response><Errors>${error}</Errors><RequestID>${randomUUID()}</RequestID></Response>`;
  return { status, type: "text/xml;charset=UTF-8", body };
}

function json(value: unknown): Answer {
  return { status: 200, type: "application/x-amz-json-1.1", body: JSON.stringify(value) };
}

function jsonError(__type: string, message: string): Answer {
  return { ...json({ __type, message }), status: 400 };
}
