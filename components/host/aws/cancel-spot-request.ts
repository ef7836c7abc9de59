/**
 * Cancels the request that a spot instance came from; run when the instance goes. A persistent request that is not cancelled
 * starts another instance, which nobody knows of.
 *
 * Environment: REGION, PROFILE (may be empty), REQUEST (id).
 */
import { CancelSpotInstanceRequestsCommand, EC2Client } from "@aws-sdk/client-ec2";

const { REGION: region, PROFILE: profile, REQUEST: request = "" } = process.env;
const client = new EC2Client({ region, ...(profile ? { profile } : {}) });
await client
  .send(new CancelSpotInstanceRequestsCommand({ SpotInstanceRequestIds: [request] }))
  .catch((error) => {
    // Requests are forgotten some time after they have ended.
    if (error.name !== "InvalidSpotInstanceRequestID.NotFound") throw error;
  });
