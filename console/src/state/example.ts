// A quiet deployment, for the tests of the pure parts.

import type { EndpointRow, FeatureRow, MigrationRow, Overview, Split, Unread } from "./api";

export const endpoint: EndpointRow = {
  name: "haiku",
  provider: "bedrock-prod",
  region: "us-east-1",
  model: "m",
  capacity_class: "provisioned",
  state: "closed",
  share: 1,
  reason: "closed",
};

export const feature: FeatureRow = {
  name: "recap",
  request_class: "batch",
  hierarchy: ["main", "spare"],
  candidate_share: 0,
  candidate: null,
  migration: null,
  local_rollback: null,
  killed: false,
  requests_per_s: 3,
  caller_errors: 0,
  requests: 100,
  last_minute: [{ arm: "main", requests: 100, caller_errors: 0, first_hard: 0 }],
};

export const migration: MigrationRow = {
  name: "move",
  features: ["recap"],
  incumbent: "main",
  candidate: "new",
  parameters: {},
  started_unix_s: 0,
  state: "rollout",
  stage: 1,
  stages: [0.01, 1],
  share: 0.01,
  next_action: "hold",
  next_reason: "baking",
  progress: null,
  failures: [],
  steps: [],
  guard: null,
  timeline: [],
  counts: [],
};

export const quiet: Overview = {
  version: 7,
  unix_s: 0,
  config_error: null,
  features: [feature],
  pools: { main: ["haiku"], spare: ["gpt"], new: ["flash"] },
  endpoints: [endpoint, { ...endpoint, name: "gpt" }, { ...endpoint, name: "flash" }],
  gateways: [{ name: "g1", snapshot_version: 7, age_s: 0.4, records_dropped: 0, in_flight: 0 }],
  migrations: [],
  unread: null,
  credentials: {},
  feedback: [],
};

export const split: Split = {
  feature: "recap",
  migration: "move",
  candidate: "new",
  share: 0.25,
  share_now: 0.25,
  killed: false,
  local_rollback: null,
};

/** A control that was started without its log. */
export const unread: Unread = {
  why: "the database db.internal cannot be used",
  since_unix_s: 100,
  unix_s: 160,
  is_heard: true,
  gateways: [
    {
      name: "g1",
      admin: "http://127.0.0.1:4001",
      error: "",
      snapshot_version: 7,
      splits: [split],
      endpoints: [{ endpoint: "haiku", state: "closed", share: 1, reason: "closed" }],
    },
  ],
  set_aside: [],
  credentials: {},
};
