import { WEBHOOK_DELIVERY_STATUSES } from "@headrace/contract";

import { DEFAULT_PAGE, LARGEST_PAGE } from "../query.ts";
import { COMMON, REPLIES, type Operation, type Parameter } from "./operation.ts";

const endpointId = idOf("The endpoint's id.");
const deliveryId = idOf("The delivery's id.");

const page: readonly Parameter[] = [
  query("limit", "Items in a page.", {
    type: "integer",
    minimum: 1,
    maximum: LARGEST_PAGE,
    default: DEFAULT_PAGE,
  }),
  query("after", "The last item of the page before.", { type: "string" }),
];

const deliveryPage: readonly Parameter[] = [
  query("status", "Only deliveries in this state.", {
    type: "string",
    enum: [...WEBHOOK_DELIVERY_STATUSES],
  }),
  ...page,
];

/** What every operation can answer that reads a body. */
const bodyReplies: Operation["replies"] = {
  400: REPLIES.invalid,
  413: REPLIES.tooLarge,
  415: REPLIES.mediaType,
  ...COMMON,
};

const endpoints = "/v1/webhook_endpoints";
const deliveries = "/v1/webhook_deliveries";

const ENDPOINT_OPERATIONS: readonly Operation[] = [
  {
    id: "createWebhookEndpoint",
    method: "POST",
    path: endpoints,
    tag: "Webhooks",
    summary: "Have events sent to an address",
    description:
      "From now on what ends is told there: exact types, or `job.*`, `response.*`, `batch.*`. Jobs of synchronous calls are not told of. Bodies are `WebhookEvent`s, signed as Standard Webhooks has it: `client.webhooks.unwrap` of OpenAI's SDK verifies them. An event comes at least once, under one `webhook-id`, in no order. Anything but 2xx is tried again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, or later if `Retry-After` says so; 410 disables the endpoint. A try may take 15 s; redirects are not followed. Only https on port 443 or 8443, at an address on the Internet, unless the operator has listed the receiver. The secret is shown this once.",
    body: "WebhookEndpointForm",
    replies: {
      200: { description: "Made.", schema: "WebhookEndpointWithSecret" },
      409: { description: "There are 20 endpoints already.", schema: "Error" },
      ...bodyReplies,
    },
  },
  {
    id: "listWebhookEndpoints",
    method: "GET",
    path: endpoints,
    tag: "Webhooks",
    summary: "List webhook endpoints",
    description: "Newest first.",
    parameters: page,
    replies: {
      200: { description: "A page.", schema: "WebhookEndpointList" },
      400: REPLIES.invalid,
      404: { description: "The endpoint in `after` is unknown.", schema: "Error" },
      ...COMMON,
    },
  },
  {
    id: "readWebhookEndpoint",
    method: "GET",
    path: `${endpoints}/{id}`,
    tag: "Webhooks",
    summary: "Read a webhook endpoint",
    description: "Also tells whether it is sent anything, and why not.",
    parameters: [endpointId],
    replies: {
      200: { description: "The endpoint.", schema: "WebhookEndpoint" },
      404: REPLIES.endpointUnknown,
      ...COMMON,
    },
  },
  {
    id: "updateWebhookEndpoint",
    method: "POST",
    path: `${endpoints}/{id}`,
    tag: "Webhooks",
    summary: "Change a webhook endpoint",
    description:
      "What is left out stays. `status` disables it, and enables it again: what failed meanwhile can be replayed.",
    parameters: [endpointId],
    body: "WebhookEndpointChange",
    replies: {
      200: { description: "The endpoint as it is now.", schema: "WebhookEndpoint" },
      404: REPLIES.endpointUnknown,
      ...bodyReplies,
    },
  },
  {
    id: "deleteWebhookEndpoint",
    method: "DELETE",
    path: `${endpoints}/{id}`,
    tag: "Webhooks",
    summary: "Delete a webhook endpoint",
    description: "What waits for it is not sent.",
    parameters: [endpointId],
    replies: {
      200: { description: "Deleted.", schema: "WebhookEndpointDeleted" },
      404: REPLIES.endpointUnknown,
      ...COMMON,
    },
  },
  {
    id: "listWebhookEventTypes",
    method: "GET",
    path: "/v1/webhook_event_types",
    tag: "Webhooks",
    summary: "List what there is to be told of",
    description: "Exact types; an endpoint may also ask for `job.*`, `response.*`, `batch.*`.",
    replies: {
      200: { description: "The types.", schema: "WebhookEventTypeList" },
      ...COMMON,
    },
  },
  {
    id: "rotateWebhookEndpointSecret",
    method: "POST",
    path: `${endpoints}/{id}/rotate_secret`,
    tag: "Webhooks",
    summary: "Make a new secret",
    description:
      "With `keep_old_secret_active_for_24_hours` events carry two signatures for a day, so that receivers can change over at any time in it; without it the old secret signs nothing any more. The new one is shown this once.",
    parameters: [endpointId],
    body: "SecretRotation",
    replies: {
      200: { description: "With the new secret.", schema: "WebhookEndpointWithSecret" },
      404: REPLIES.endpointUnknown,
      ...bodyReplies,
    },
  },
];

const DELIVERY_OPERATIONS: readonly Operation[] = [
  {
    id: "listWebhookEndpointDeliveries",
    method: "GET",
    path: `${endpoints}/{id}/deliveries`,
    tag: "Webhooks",
    summary: "See what was sent to an endpoint",
    description:
      "Newest first: all that wait, and the last 1,000 that ended, for 7 days. Each with its tries.",
    parameters: [endpointId, ...deliveryPage],
    replies: {
      200: { description: "A page.", schema: "WebhookDeliveryList" },
      400: REPLIES.invalid,
      404: {
        description: "The endpoint, or the delivery in `after`, is unknown.",
        schema: "Error",
      },
      ...COMMON,
    },
  },
  {
    id: "replayFailedWebhooks",
    method: "POST",
    path: `${endpoints}/{id}/replay`,
    tag: "Webhooks",
    summary: "Send again what failed",
    description: "Every failed delivery whose event came `since` starts over, under its old id.",
    parameters: [endpointId],
    body: "WebhookReplayForm",
    replies: {
      200: { description: "How many start over.", schema: "WebhookReplay" },
      404: REPLIES.endpointUnknown,
      ...bodyReplies,
    },
  },
  {
    id: "listJobWebhookDeliveries",
    method: "GET",
    path: deliveries,
    tag: "Webhooks",
    summary: "See what was sent for single jobs",
    description: "The deliveries to jobs' own `webhook`s, as an endpoint's are listed.",
    parameters: deliveryPage,
    replies: {
      200: { description: "A page.", schema: "WebhookDeliveryList" },
      400: REPLIES.invalid,
      404: { description: "The delivery in `after` is unknown.", schema: "Error" },
      ...COMMON,
    },
  },
  {
    id: "readWebhookDelivery",
    method: "GET",
    path: `${deliveries}/{id}`,
    tag: "Webhooks",
    summary: "Read a delivery",
    description: "To an endpoint, or for a single job.",
    parameters: [deliveryId],
    replies: {
      200: { description: "The delivery.", schema: "WebhookDelivery" },
      404: REPLIES.deliveryUnknown,
      ...COMMON,
    },
  },
  {
    id: "replayWebhookDelivery",
    method: "POST",
    path: `${deliveries}/{id}/replay`,
    tag: "Webhooks",
    summary: "Send one event again",
    description:
      "Starts the delivery over, under its old id, whatever became of it. One that still waits is tried at once. Takes no body.",
    parameters: [deliveryId],
    replies: {
      200: { description: "The delivery as it is now.", schema: "WebhookDelivery" },
      404: REPLIES.deliveryUnknown,
      ...bodyReplies,
    },
  },
];

const SECRET_OPERATIONS: readonly Operation[] = [
  {
    id: "readWebhookSecret",
    method: "GET",
    path: "/v1/webhook_secret",
    tag: "Webhooks",
    summary: "See which secret signs single jobs' webhooks",
    description: "By its last characters: it was shown when it was made.",
    replies: {
      200: { description: "About the secret.", schema: "WebhookSecret" },
      404: { description: "There is none yet.", schema: "Error" },
      ...COMMON,
    },
  },
  {
    id: "renewWebhookSecret",
    method: "POST",
    path: "/v1/webhook_secret",
    tag: "Webhooks",
    summary: "Make the secret that signs single jobs' webhooks",
    description:
      "The first one, or another in its place, as `rotate_secret` does. Until there is one, jobs with a `webhook` are refused. It is shown this once.",
    body: "SecretRotation",
    replies: {
      200: { description: "With the new secret.", schema: "NewWebhookSecret" },
      ...bodyReplies,
    },
  },
];

/** Webhook endpoints, secrets and deliveries. */
export const WEBHOOK_OPERATIONS: readonly Operation[] = [
  ...ENDPOINT_OPERATIONS,
  ...SECRET_OPERATIONS,
  ...DELIVERY_OPERATIONS,
];

function idOf(description: string): Parameter {
  return { name: "id", in: "path", description, required: true, schema: { type: "string" } };
}

function query(name: string, description: string, schema: Parameter["schema"]): Parameter {
  return { name, in: "query", description, required: false, schema };
}
