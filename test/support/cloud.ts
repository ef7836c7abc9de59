/**
 * A cloud for the tests: AWS's interface on the loopback. What moto knows it answers; what moto lacks (parameters,
 * quotas, prices, spot, no capacity) is answered here in AWS's own words; and what a call changes becomes real before it is
 * answered, when there are machines behind it.
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
  AttachInternetGatewayCommand,
  CreateInternetGatewayCommand,
  CreateRouteCommand,
  DescribeAddressesCommand,
  DescribeInstancesCommand,
  DescribeRouteTablesCommand,
  DescribeVolumesCommand,
  DisassociateAddressCommand,
  EC2Client,
  StartInstancesCommand,
  StopInstancesCommand,
} from "@aws-sdk/client-ec2";
import { IAMClient } from "@aws-sdk/client-iam";
import { type Moto, startMoto } from "./moto.ts";
import { productsOf } from "./price-list.ts";
import { filtersIn, SpotRequests } from "./spot.ts";

/** Moto's account. */
const ACCOUNT = "123456789012";

/** The region that there is. */
export const REGION = "us-east-1";

/** The parameter with the newest Deep Learning AMI, and the AMI in it. */
export const AMI_PARAMETER =
  "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id";
export const AMI = "ami-0123456789abcdef0";

/** Quota codes of EC2, in vCPUs a region. */
export const QUOTAS = {
  onDemandG: "L-DB2E81BA",
  spotG: "L-3819A6DF",
  onDemandP: "L-417A185B",
  spotP: "L-7212CCBC",
};

/** An error of AWS's. */
export interface Failure {
  status: number;
  code: string;
  message: string;
}

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
  /** Calls that fail, by their name: "RunInstances". */
  failures: Map<string, Failure>;
  /** US dollars an hour on demand, by type; while there are none, nobody may ask for prices. */
  prices: Map<string, number>;
  /** How long a snapshot stays pending. */
  snapshots: { seconds: number };
  /** The account of whoever asks. Things are moto's one account's all the same. */
  account: { id: string };
  /** What EC2 does to spot instances by itself. */
  spot: {
    /** Stops one, as there is no capacity any more. */
    interrupt(instance: string): Promise<void>;
    /** Starts it again, as there is. */
    resume(instance: string): Promise<void>;
    /** How long a request is behind when its instance was stopped: nobody can start it meanwhile. */
    lag: { seconds: number };
    /** Takes down that an instance has shut itself down; it may be any. */
    wentOff(instance: string): void;
  };
  /** Every call so far: "RunInstances". */
  calls: string[];
  /** Those that the person made, as a policy names them: "ec2:RunInstances". The clients above are somebody else's. */
  actions: Set<string>;
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
      [QUOTAS.spotP, { name: "All P4, P3 and P2 Spot Instance Requests", value: 64 }],
    ]),
    noCapacity: new Set<string>(),
    failures: new Map<string, Failure>(),
    prices: new Map<string, number>(),
    snapshots: { seconds: 0 },
    account: { id: ACCOUNT },
    calls: [] as string[],
    actions: new Set<string>(),
  };
  const requests = new SpotRequests();
  let follower: Follower | undefined;
  const credentials = { accessKeyId: PERSON, secretAccessKey: "testing" };
  const observer = { ...credentials, accessKeyId: "observer" };
  const client = new EC2Client({ region: REGION, endpoint: moto.url, credentials: observer });
  await connectToInternet(client);
  const server = await serve(moto, client, state, requests, () => follower);
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
    ec2: new EC2Client({ region: REGION, endpoint: url, credentials: observer }),
    iam: new IAMClient({ region: REGION, endpoint: url, credentials: observer }),
    moto: client,
    spot: {
      async interrupt(instance) {
        requests.interrupted(instance);
        await client.send(new StopInstancesCommand({ InstanceIds: [instance] }));
        await follower?.reconcile();
      },
      async resume(instance) {
        requests.resumed(instance);
        await client.send(new StartInstancesCommand({ InstanceIds: [instance] }));
        await follower?.reconcile();
      },
      lag: requests.lag,
      wentOff: (instance) => void requests.follow("StopInstances", [instance]),
    },
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

/** The access key of the person; the tests have another. */
const PERSON = "testing";

/** Gives the default VPC the gateway and the route that AWS's has. */
async function connectToInternet(moto: EC2Client): Promise<void> {
  const { RouteTables = [] } = await moto.send(new DescribeRouteTablesCommand({}));
  for (const { RouteTableId, VpcId } of RouteTables) {
    const { InternetGateway } = await moto.send(new CreateInternetGatewayCommand({}));
    const GatewayId = InternetGateway?.InternetGatewayId;
    await moto.send(new AttachInternetGatewayCommand({ VpcId, InternetGatewayId: GatewayId }));
    const route = { RouteTableId, DestinationCidrBlock: "0.0.0.0/0", GatewayId };
    await moto.send(new CreateRouteCommand(route));
  }
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

type State = Pick<
  Cloud,
  | "parameters"
  | "quotas"
  | "noCapacity"
  | "failures"
  | "prices"
  | "snapshots"
  | "account"
  | "calls"
  | "actions"
>;

/** One call, in either of the two ways in which AWS's services are spoken to. */
interface Call {
  action: string;
  parameters: Record<string, string>;
  /** As it is signed for: "ec2". */
  service: string;
  /** Access key of who asks. */
  who: string;
}

interface Answer {
  status: number;
  type: string;
  body: string | Buffer;
}

/** Calls after which something is to become real. */
const CHANGES =
  /^(RunInstances|(Start|Stop|Terminate)Instances|(Attach|Detach|Delete|Modify)Volume|(Associate|Disassociate|Release)Address)$/;

async function serve(
  moto: Moto,
  client: EC2Client,
  state: State,
  spot: SpotRequests,
  machines: () => Follower | undefined,
): Promise<Server> {
  /** When snapshots were begun, by id. */
  const begun = new Map<string, number>();
  const server = createServer(async (request, response) => {
    try {
      const given = await buffer(request);
      const call = parse(request.headers, given);
      state.calls.push(call.action);
      if (call.who === PERSON) state.actions.add(`${call.service}:${call.action}`);
      const answer =
        failure(call, state) ??
        own(call, state) ??
        ownSpot(spot, call) ??
        (await wrongState(client, call)) ??
        (await smaller(client, call)) ??
        (await pass(call, given));
      const headers = { "content-type": answer.type, "x-amzn-requestid": randomUUID() };
      response.writeHead(answer.status, headers).end(answer.body);
    } catch (error) {
      const { status, type, body } = ec2Error(500, "InternalError", String(error));
      response.writeHead(status, { "content-type": type }).end(body);
    }

    async function pass(call: Call, given: Buffer): Promise<Answer> {
      const body = await amended(call, given, spot, machines(), client);
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
      if (call.action === "CreateSnapshot") begun.set(snapshotIn(String(content)), Date.now());
      const type = answer.headers.get("content-type") ?? "text/xml";
      return { status: answer.status, type, body: completed(call, content) };
    }

    /** An answer of moto's with what it lacks. */
    function completed({ action }: Call, content: Buffer): string | Buffer {
      if (/^(Run|Describe)Instances$/.test(action)) return markInstances(spot, String(content));
      if (/^(Create|Describe)Snapshots?$/.test(action)) {
        const since = Date.now() - state.snapshots.seconds * 1000;
        const pending = [...begun].filter(([, at]) => at > since).map(([id]) => id);
        return markSnapshots(pending, String(content));
      }
      return content;
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function parse(headers: IncomingHttpHeaders, body: Buffer): Call {
  // Credential=KEY/DATE/REGION/SERVICE/aws4_request
  const [who = "", , , service = ""] =
    /Credential=([^,\s]+)/.exec(headers.authorization ?? "")?.[1]?.split("/") ?? [];
  const target = headers["x-amz-target"];
  if (target) {
    const parameters = JSON.parse(String(body) || "{}");
    return { action: String(target).split(".")[1] ?? "", parameters, service, who };
  }
  const parameters = Object.fromEntries(new URLSearchParams(body.toString()));
  return { action: parameters.Action ?? "", parameters, service, who };
}

/** A call as moto has to be told it to do what AWS does. */
async function amended(
  { action, parameters }: Call,
  body: Buffer,
  spot: SpotRequests,
  machines: Follower | undefined,
  moto: EC2Client,
): Promise<Buffer> {
  // Moto's own public addresses lead nowhere.
  if (action === "AllocateAddress" && machines)
    return Buffer.from(`${body}&Address=${await machines.freeAddress()}`);
  if (action === "AssociateAddress") return Buffer.from(`${body}&AllowReassociation=true`);
  if (action === "DescribeInstances") return Buffer.from(await withoutUnknownFilters(parameters, spot, moto));
  // Moto knows this one by its older form alone, and takes the newer for a list of no security groups.
  if (action === "ModifyInstanceAttribute") {
    const older = "Attribute=instanceInitiatedShutdownBehavior&Value=";
    return Buffer.from(String(body).replace("InstanceInitiatedShutdownBehavior.Value=", older));
  }
  return body;
}

/** The filters about spot and about volumes, which moto does not know, in terms of instances. */
async function withoutUnknownFilters(
  parameters: Record<string, string>,
  spot: SpotRequests,
  moto: EC2Client,
): Promise<string> {
  const filters = filtersIn(parameters);
  const lifecycles = filters.get("instance-lifecycle");
  const volumes = filters.get("block-device-mapping.volume-id");
  const meant = volumes
    ? await instancesWith(volumes, moto)
    : lifecycles && (lifecycles.includes("spot") ? spot.instances() : []);
  const instances = meant ?? spot.instances(filters.get("spot-instance-request-id") ?? []);
  const rest = Object.entries(parameters).filter(([name]) => !name.startsWith("Filter."));
  const known = [...filters].map(([name, values]): [string, string[]] =>
    /^(instance-lifecycle|spot-instance-request-id|block-device-mapping.volume-id)$/.test(name)
      ? ["instance-id", instances.length > 0 ? instances : ["i-none"]]
      : [name, values],
  );
  const given = known.flatMap(([name, values], index) => [
    [`Filter.${index + 1}.Name`, name],
    ...values.map((value, at) => [`Filter.${index + 1}.Value.${at + 1}`, value]),
  ]);
  return String(new URLSearchParams([...rest, ...given] as [string, string][]));
}

/** Ids of the instances that have one of some volumes. */
async function instancesWith(volumes: string[], moto: EC2Client): Promise<string[]> {
  const { Volumes = [] } = await moto.send(new DescribeVolumesCommand({ VolumeIds: volumes }));
  return Volumes.flatMap(({ Attachments = [] }) => Attachments.flatMap(({ InstanceId }) => InstanceId ?? []));
}

/** Instances as moto describes them, with their groups, and what is to be known of spot. */
function markInstances(spot: SpotRequests, xml: string): string {
  const mark = (instance: string) => {
    const groups = /<networkInterfaceSet>.*?(<groupSet>.*?<\/groupSet>)/s.exec(instance)?.[1];
    const grouped = groups ? instance.replace("<groupSet/>", groups) : instance;
    return spot.mark(launchedIn(instance), grouped);
  };
  // An instance begins with this element, and nothing else does.
  return xml
    .split(/(?=<item><architecture>)/)
    .map(mark)
    .join("");
}

/** Snapshots as moto describes them, of which none is pending. */
function markSnapshots(pending: string[], xml: string): string {
  const mark = (snapshot: string) =>
    pending.includes(snapshotIn(snapshot)) ? snapshot.replace(">completed<", ">pending<") : snapshot;
  return xml
    .split(/(?=<snapshotId>)/)
    .map(mark)
    .join("");
}

/** The first snapshot that an answer is about. */
function snapshotIn(xml: string): string {
  return /<snapshotId>(snap-\w+)</.exec(xml)?.[1] ?? "";
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
  return refused && ec2Error(400, refused.code, refused.message);
}

/** AWS makes no volume smaller; moto does. */
async function smaller(moto: EC2Client, { action, parameters }: Call): Promise<Answer | undefined> {
  const { VolumeId = "", Size } = parameters;
  if (action !== "ModifyVolume" || Size === undefined) return undefined;
  const { Volumes = [] } = await moto.send(new DescribeVolumesCommand({}));
  const volume = Volumes.find((each) => each.VolumeId === VolumeId);
  if (Number(Size) >= (volume?.Size ?? 0)) return undefined;
  return ec2Error(400, "InvalidParameterValue", "New size cannot be smaller than existing size");
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

/** What fails because a test says so. */
function failure({ action, service }: Call, { failures }: State): Answer | undefined {
  const failing = failures.get(action);
  if (!failing) return undefined;
  const { status, code, message } = failing;
  if (/^(ssm|servicequotas|pricing)$/.test(service)) return { ...jsonError(code, message), status };
  return service === "ec2" ? ec2Error(status, code, message) : queryError(status, code, message);
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
  if (action === "GetProducts") {
    const filters = parameters.Filters as unknown as { Field: string; Value: string }[] | undefined;
    if (state.prices.size > 0) return json(productsOf(state.prices, REGION, filters));
    return jsonError(
      "AccessDeniedException",
      "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: pricing:GetProducts because no identity-based policy allows the pricing:GetProducts action",
    );
  }
  if (action === "GetCallerIdentity" && state.account.id !== ACCOUNT) {
    const { id } = state.account;
    const who = `<Arn>arn:aws:iam::${id}:user/ada</Arn><UserId>AIDA</UserId><Account>${id}</Account>`;
    const body = `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>${who}</GetCallerIdentityResult></GetCallerIdentityResponse>`;
    return { status: 200, type: "text/xml", body };
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
  const error = `<Error><Code>${code}</Code><Message>${escaped(message)}</Message></Error>`;
  const body = `<?xml version="1.0" encoding="UTF-8"?><Response><Errors>${error}</Errors><RequestID>${randomUUID()}</RequestID></Response>`;
  return { status, type: "text/xml;charset=UTF-8", body };
}

/** An error of the services that speak as EC2 does, nearly. */
function queryError(status: number, code: string, message: string): Answer {
  const error = `<Error><Type>Sender</Type><Code>${code}</Code><Message>${escaped(message)}</Message></Error>`;
  const body = `<ErrorResponse>${error}<RequestId>${randomUUID()}</RequestId></ErrorResponse>`;
  return { status, type: "text/xml;charset=UTF-8", body };
}

function escaped(message: string): string {
  return message.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

function json(value: unknown): Answer {
  return { status: 200, type: "application/x-amz-json-1.1", body: JSON.stringify(value) };
}

function jsonError(__type: string, message: string): Answer {
  return { ...json({ __type, message }), status: 400 };
}
