import { expect, test } from "vitest";
import type { Overview } from "./api";
import { percent, troubles } from "./summary";

const quiet: Overview = {
  version: 7,
  unix_s: 0,
  config_error: null,
  features: [],
  endpoints: [],
  gateways: [{ name: "g1", snapshot_version: 7, age_s: 0.4, records_dropped: 0, in_flight: 0 }],
  migrations: [],
};

test("a healthy deployment has no troubles", () => {
  expect(troubles(quiet)).toEqual([]);
});

test("a silent gateway, an open breaker and dropped records are each named", () => {
  const news: Overview = {
    ...quiet,
    gateways: [{ name: "g1", snapshot_version: 6, age_s: 31, records_dropped: 3, in_flight: 0 }],
    endpoints: [
      {
        name: "haiku",
        provider: "bedrock-prod",
        region: "us-east-1",
        model: "m",
        capacity_class: "provisioned",
        state: "half_open",
        share: 0.05,
        reason: "5 consecutive hard failures",
      },
    ],
  };

  const texts = troubles(news).map((trouble) => trouble.text);

  expect(texts).toHaveLength(4);
  expect(texts[0]).toContain("31 s ago");
  expect(texts[3]).toBe("Endpoint haiku is half-open: 5 consecutive hard failures");
});

test("no gateway at all is the worst trouble", () => {
  expect(troubles({ ...quiet, gateways: [] })[0]?.severity).toBe("bad");
});

test("shares read as people write them", () => {
  expect([0, 0.01, 0.005, 0.25, 1].map(percent)).toEqual(["0 %", "1 %", "0.5 %", "25 %", "100 %"]);
});
