import { expect, test } from "vitest";
import type { Unread } from "./api";
import { split, unread } from "./example";
import { carriedOf, switchCommand, unreadTroubles } from "./unread";

const [gateway] = unread.gateways;
const other = { ...gateway!, name: "g2", admin: "http://10.0.0.2:4001" };
const silent = { ...gateway!, name: "g3", admin: null, error: "connection refused", snapshot_version: null, splits: [], endpoints: [] };
const texts = (more: Partial<Unread>) => unreadTroubles({ ...unread, ...more }).map((one) => one.text);

test("migrations are put together from what each gateway carries", () => {
  const gateways = [
    { ...gateway!, splits: [split, { ...split, feature: "ask", migration: "another", share: 1, share_now: 1 }] },
    { ...other, splits: [{ ...split, killed: true, share_now: 0 }] },
    silent,
  ];
  const set_aside = [{ migration: "move", reason: "asked by ann: it lies", unix_s: 150 }];
  const [another, move] = carriedOf({ ...unread, gateways, set_aside });

  expect([another?.name, another?.mayBeClosed, another?.setAside]).toEqual(["another", true, []]);
  expect([move?.name, move?.mayBeClosed, move?.most, move?.setAside.length]).toEqual(["move", false, 0.25, 1]);
  expect(move?.rows.map((row) => [row.gateway, row.split.share_now])).toEqual([
    ["g1", 0.25],
    ["g2", 0],
  ]);
});

test("the command turns the switch of that gateway, and back where it is pulled", () => {
  expect(switchCommand("http://127.0.0.1:4001", split)).toBe("curl -X PUT http://127.0.0.1:4001/admin/kill/recap");
  expect(switchCommand(null, { ...split, killed: true })).toBe("curl -X DELETE http://GATEWAY_ADMIN/admin/kill/recap");
});

test("where gateways answer and nothing is wrong, there are no troubles", () => {
  expect(texts({})).toEqual([]);
});

test("gateways that do not tell, and those that have not asked, are named", () => {
  expect(texts({ gateways: [gateway!, silent] })).toEqual(["It is not known what gateway g3 does with migrations. Connection refused."]);
  expect(texts({ gateways: [] })[0]).toContain("nothing is known of any");
  expect(texts({ gateways: [], is_heard: false })[0]).toContain("It has just started");
});

test("what a gateway says of its endpoints and of its own rollback is told", () => {
  const ill = { ...gateway!, splits: [{ ...split, local_rollback: "the candidate is dead" }], endpoints: [{ endpoint: "haiku", state: "open", share: 0, reason: "errors" } as const] };

  expect(texts({ gateways: [ill], credentials: { bedrock: "expired" } })).toEqual([
    "Gateway g1 took feature recap back by itself. The candidate is dead.",
    "Endpoint haiku: breaker open, takes no requests, says gateway g1. Errors.",
    "The credential of bedrock cannot be fetched. Expired.",
  ]);
});
