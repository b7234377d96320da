import { expect, test } from "vitest";
import type { Overview } from "./api";
import { endpoint, feature, migration, quiet, unread } from "./example";
import { titleOf, troubles } from "./troubles";

const texts = (news: Overview) => troubles(news).map((one) => one.text);

test("a healthy deployment has no troubles", () => {
  expect(troubles(quiet)).toEqual([]);
  expect(titleOf(quiet, null, "live")).toMatch(/^All well/);
});

test("a silent gateway, an open breaker and dropped records are each named, the worst first", () => {
  const found = troubles({
    ...quiet,
    gateways: [{ name: "g1", snapshot_version: 6, age_s: 31, records_dropped: 3, in_flight: 0 }],
    endpoints: [{ ...endpoint, state: "half_open", share: 0.05, reason: "5 consecutive hard failures" }],
  });

  expect(found.map((one) => one.severity)).toEqual(["bad", "warn", "warn"]);
  expect(found[0]?.text).toContain("31 s ago");
  expect(found[1]?.text).toContain("3 records");
  expect(found[2]?.text).toBe("Endpoint haiku: recovering, takes 5 % of its requests. 5 consecutive hard failures.");
  expect(found[2]?.place).toBe("endpoint-haiku");
});

test("an open breaker is bad, a recovering one is to be looked at", () => {
  const first = (state: "open" | "half_open", share: number) => troubles({ ...quiet, endpoints: [{ ...endpoint, state, share }] })[0];

  expect([first("open", 0)?.severity, first("half_open", 0.05)?.severity]).toEqual(["bad", "warn"]);
  expect(first("half_open", 0)?.severity).toBe("bad"); // between two probes that fail the page must not look better
  expect(first("half_open", 0)?.text).toContain("tried by one request at a time");
});

test("an old snapshot is told of a gateway that reports, not of a silent one", () => {
  const gateway = { name: "g1", snapshot_version: 6, age_s: 0.4, records_dropped: 0, in_flight: 0 };

  expect(texts({ ...quiet, gateways: [gateway] })).toEqual(["Gateway g1 serves snapshot 6; the newest is 7."]);
  expect(texts({ ...quiet, gateways: [{ ...gateway, age_s: 9 }] })).toEqual(["Gateway g1 is silent; it was last heard 9 s ago."]);
});

test("a pulled kill switch says how it is released: a resumed migration stays at 0 % behind it", () => {
  expect(texts({ ...quiet, features: [{ ...feature, killed: true }] })[0]).toContain("curl -X DELETE http://GATEWAY_ADMIN/admin/kill/recap");
});

test("errors count while callers see them, not for ever", () => {
  const failing = { arm: "main", requests: 100, caller_errors: 1, first_hard: 1 } as const;

  expect(texts({ ...quiet, features: [{ ...feature, caller_errors: 40 }] })).toEqual([]);
  expect(texts({ ...quiet, features: [{ ...feature, last_minute: [failing] }] })).toEqual([
    "Feature recap: callers saw 1 error in the last minute.",
  ]);
});

test("a migration that waits for a person, stands still or cannot measure says so", () => {
  const asking = { ...migration, next_action: "ask", next_reason: "compliance needs the sign-off of legal" };
  const back = { ...migration, state: "rolled_back", next_reason: "rolled back: errors guard" };
  const failure = { kind: "capacity_mapping", subject: "new", error: "no route", count: 2, unix_s: 0 };

  expect(texts({ ...quiet, migrations: [asking] })[0]).toContain("waits for a person");
  expect(texts({ ...quiet, migrations: [back] })[0]).toBe("Migration move stands still. Rolled back: errors guard.");
  expect(texts({ ...quiet, migrations: [{ ...migration, failures: [failure] }] })[0]).toContain("capacity mapping of new. No route.");
});

test("no gateway, a refused config and a missing credential are troubles", () => {
  expect(troubles({ ...quiet, gateways: [] })[0]?.severity).toBe("bad");
  expect(texts({ ...quiet, config_error: "features: unknown key" })[0]).toContain("Features: unknown key.");
  const worse = { feature: "recap", endpoint: "new-1", votes: 900, ordinary: 0.11, rate: 0.2, is_worse: true, until_unix_s: 5, keep: 0.25 };
  expect(texts({ ...quiet, feedback: [worse, { ...worse, endpoint: "b", is_worse: false }] })).toHaveLength(1);
  expect(texts({ ...quiet, feedback: [worse] })[0]).toMatch(/25 ?% of its requests still ask it first\.$/);
  expect(texts({ ...quiet, credentials: { "bedrock-prod": "expired" } })[0]).toContain("bedrock-prod");
});

test("while the log cannot be read, a gateway that does not tell what it carries is named", () => {
  const silent = { ...unread, gateways: [{ name: "g2", admin: null, error: "refused", snapshot_version: null, splits: [], endpoints: [] }] };

  expect(texts({ ...quiet, unread: silent })).toEqual(["It is not known what gateway g2 does with migrations. Refused."]);
});

test("the title's first word is the state", () => {
  expect(titleOf(quiet, null, "lost")).toMatch(/^Control lost/);
  expect(titleOf(null, null, "stranger")).toMatch(/^Log in/);
  expect(titleOf(null, unread, "live")).toMatch(/^Log not read/);
  expect(titleOf({ ...quiet, gateways: [] }, unread, "live")).toMatch(/^1 wrong/);
  expect(titleOf(quiet, unread, "lost")).toMatch(/^Control lost/);
  expect(titleOf({ ...quiet, gateways: [] }, null, "live")).toMatch(/^1 wrong/);
  expect(titleOf({ ...quiet, config_error: "x" }, null, "live")).toMatch(/^1 to look at/);
});
