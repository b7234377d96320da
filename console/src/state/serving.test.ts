import { expect, test } from "vitest";
import { endpoint, feature, quiet } from "./example";
import { partsOf, poolHealth, targetsOf, totalsOf } from "./serving";

const down = { ...quiet, endpoints: quiet.endpoints.map((one) => (one.name === "haiku" ? { ...one, state: "open", share: 0 } as const : one)) };

test("the first pool serves while it is up", () => {
  const targets = targetsOf(feature, quiet);

  expect(targets.map((target) => target.isServing)).toEqual([true, false]);
  expect(partsOf(feature, targets, quiet)).toEqual([{ pool: "main", share: 1, role: "incumbent" }]);
});

test("a backup serves when the first pool is down", () => {
  expect(partsOf(feature, targetsOf(feature, down), down)).toEqual([{ pool: "spare", share: 1, role: "backup" }]);
});

test("what a recovering pool does not admit is the backup's", () => {
  const recovering = quiet.endpoints.map((one) => (one.name === "haiku" ? ({ ...one, state: "half_open", share: 0.05 } as const) : one));
  const parts = partsOf(feature, targetsOf(feature, { ...quiet, endpoints: recovering }), { ...quiet, endpoints: recovering });

  expect(parts.map((part) => [part.pool, Number(part.share.toFixed(4))])).toEqual([
    ["main", 0.05],
    ["spare", 0.95],
  ]);
});

test("a candidate takes its share from whoever serves", () => {
  const moving = { ...feature, candidate: "new", candidate_share: 0.25, migration: "move" };

  expect(partsOf(moving, targetsOf(moving, down), down)).toEqual([
    { pool: "new", share: 0.25, role: "candidate" },
    { pool: "spare", share: 0.75, role: "backup" },
  ]);
  const whole = { ...moving, candidate_share: 1 };
  expect(partsOf(whole, targetsOf(whole, quiet), quiet).map((part) => part.pool)).toEqual(["new"]);
});

test("a candidate whose breaker is open serves nothing, whatever its share", () => {
  const moving = { ...feature, candidate: "new", candidate_share: 0.25, migration: "move" };
  const broken = { ...quiet, endpoints: quiet.endpoints.map((one) => (one.name === "flash" ? ({ ...one, state: "open", share: 0 } as const) : one)) };

  expect(partsOf(moving, targetsOf(moving, broken), broken)).toEqual([{ pool: "main", share: 1, role: "incumbent" }]);
});

test("nothing is claimed of what no gateway reports", () => {
  const unseen = { ...quiet, endpoints: quiet.endpoints.map((one) => ({ ...one, state: "unknown", share: 0 }) as const) };

  expect(targetsOf(feature, unseen).map((target) => target.health)).toEqual(["unknown", "unknown"]);
  expect(partsOf(feature, targetsOf(feature, unseen), unseen)).toEqual([]);
});

test("a pool is partly down while one member is", () => {
  expect(poolHealth([endpoint, { ...endpoint, state: "open", share: 0 }])).toBe("partly");
  expect(poolHealth([{ ...endpoint, state: "half_open", share: 0.05 }])).toBe("partly");
});

test("totals are of what gateways say now: of silent ones they are unknown, not zero", () => {
  expect(totalsOf(quiet)).toEqual({ requestsPerS: 3, errors: 0, inFlight: 0, healthy: 3, ill: 0 });
  expect(totalsOf(down)).toMatchObject({ healthy: 2, ill: 1 });
  const silent = {
    ...quiet,
    gateways: quiet.gateways.map((one) => ({ ...one, age_s: 14 })),
    endpoints: quiet.endpoints.map((one) => ({ ...one, state: "unknown", share: 0 }) as const),
  };
  expect(totalsOf(silent)).toEqual({ requestsPerS: null, errors: null, inFlight: null, healthy: null, ill: 0 });
});
