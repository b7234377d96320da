// A quiet deployment, for the tests of the pure parts.

import type { EndpointRow, FeatureRow, MigrationRow, Overview } from "./api";

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
  credentials: {},
  feedback: [],
};
