/**
 * Cancels the request that a spot instance came from; run when the instance goes. A persistent request that is not cancelled
 * starts another instance, which nobody knows of; one that did so already, as somebody else terminated ours, is found here.
 *
 * Environment: REGION, PROFILE (may be empty), REQUEST (id), INSTANCE (id of the stack's own, which is left to the engine).
 */
import {
  CancelSpotInstanceRequestsCommand,
  DescribeSpotInstanceRequestsCommand,
  EC2Client,
  TerminateInstancesCommand,
} from "@aws-sdk/client-ec2";

const { REGION: region, PROFILE: profile, REQUEST: request = "", INSTANCE: own } = process.env;
const client = new EC2Client({ region, ...(profile ? { profile } : {}) });
const ids = { SpotInstanceRequestIds: [request] };
try {
  await client.send(new CancelSpotInstanceRequestsCommand(ids));
  const { SpotInstanceRequests } = await client.send(new DescribeSpotInstanceRequestsCommand(ids));
  const current = SpotInstanceRequests?.[0]?.InstanceId;
  if (current && current !== own)
    await client.send(new TerminateInstancesCommand({ InstanceIds: [current] }));
} catch (error) {
  const { name, message } = error as Error;
  // Requests are forgotten some time after they have ended.
  if (name !== "InvalidSpotInstanceRequestID.NotFound") {
    process.stderr.write(`spot request ${request} could not be cancelled: ${name}: ${message}\n`);
    process.exitCode = 1;
  }
}
