/**
 * Stands for the AWS command line's `aws ssm start-session`, as ssh runs it: carries bytes to the instance's port. It knows an
 * instance by its id, as Session Manager does, once its role allows the agent there to speak to it and the agent has registered,
 * some time after the instance's start; and refuses whatever else it is asked for.
 */
import { connect } from "node:net";
import { argv, exit, stderr, stdin, stdout } from "node:process";
import { parseArgs } from "node:util";
import { DescribeAddressesCommand, DescribeInstancesCommand, EC2Client } from "@aws-sdk/client-ec2";
import { IAMClient, ListAttachedRolePoliciesCommand } from "@aws-sdk/client-iam";
import { roleOf } from "../../support/role.ts";

/** Milliseconds from an instance's start until its agent has registered. */
const REGISTERS_AFTER = 15_000;

if (argv[2] === "--version") {
  stdout.write("aws-cli/2 (pretended)\n");
  exit(0);
}
const text = { type: "string" } as const;
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { target: text, "document-name": text, parameters: text, region: text, profile: text },
});
const [, port] = /^portNumber=(\d+)$/.exec(values.parameters ?? "") ?? [];
if (
  positionals.join(" ") !== "ssm start-session" ||
  values["document-name"] !== "AWS-StartSSHSession" ||
  !port
) {
  stderr.write(`aws: only ssm start-session for SSH is pretended, not ${argv.slice(2).join(" ")}\n`);
  exit(252);
}
const { target = "", region } = values;
const ec2 = new EC2Client({ region });
const iam = new IAMClient({ region });
const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [target] }));
const instance = Reservations?.[0]?.Instances?.[0];
const RoleName = await roleOf(iam, instance);
const { AttachedPolicies = [] } = RoleName
  ? await iam.send(new ListAttachedRolePoliciesCommand({ RoleName }))
  : {};
const speaks = AttachedPolicies.some(({ PolicyName }) => PolicyName === "AmazonSSMManagedInstanceCore");
const Filters = [{ Name: "instance-id", Values: [target] }];
const { Addresses = [] } = await ec2.send(new DescribeAddressesCommand({ Filters }));
const address = Addresses[0]?.PublicIp;
const hasRegistered = Date.now() - (instance?.LaunchTime?.getTime() ?? 0) >= REGISTERS_AFTER;
if (!address || !speaks || !hasRegistered) {
  stderr.write(
    `\nAn error occurred (TargetNotConnected) when calling the StartSession operation: ${target} is not connected.\n`,
  );
  exit(254);
}
const machine = connect(Number(port), address);
machine.on("error", ({ message }: Error) => {
  stderr.write(`${message}\n`);
  exit(255);
});
stdin.pipe(machine).pipe(stdout);
machine.on("close", () => exit(0));
