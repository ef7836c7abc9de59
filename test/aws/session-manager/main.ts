/**
 * Stands for the AWS command line's `aws ssm start-session`, as ssh runs it: carries bytes to the instance's port. It knows an
 * instance by its id, as Session Manager does, and refuses whatever else it is asked for.
 */
import { connect } from "node:net";
import { argv, exit, stderr, stdin, stdout } from "node:process";
import { parseArgs } from "node:util";
import { DescribeAddressesCommand, EC2Client } from "@aws-sdk/client-ec2";

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
const Filters = [{ Name: "instance-id", Values: [values.target ?? ""] }];
const { Addresses = [] } = await new EC2Client({ region: values.region }).send(
  new DescribeAddressesCommand({ Filters }),
);
const address = Addresses[0]?.PublicIp;
if (!address) {
  stderr.write(
    `An error occurred (TargetNotConnected) when calling the StartSession operation: ${values.target} is not connected.\n`,
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
