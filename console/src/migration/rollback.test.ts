import { expect, test } from "vitest";
import { outcomeOf } from "./rollback";

test("a rollback says what every gateway showed, or which did not", () => {
  const done = { is_zero: true, seconds: 0.1234, gateways: ["a", "b"], missing: [] };
  expect(outcomeOf(200, done)).toEqual({ ok: true, text: "Share 0 on 2 gateways after 0.12 s." });
  const missed = outcomeOf(200, { ...done, is_zero: false, missing: ["b"] });
  expect(missed.ok).toBe(false);
  expect(missed.text).toContain("by b: pull the kill switch there");
});

test("without the database, it says what was done instead", () => {
  const pulled = { is_zero: true, seconds: 2, gateways: ["a"], missing: [], unlogged: "locked", killed: ["a"] };
  expect(outcomeOf(200, pulled)).toEqual({
    ok: false,
    text: "Kill switches were pulled on a. The log was not written: locked. Roll back again when the log can be written.",
  });
  const halfway = outcomeOf(200, { ...pulled, is_zero: false, missing: ["b"] });
  expect(halfway.text).toContain("pulled on a. NOT on b: pull them there. The log was not written: locked. Roll back again");
  const kept = outcomeOf(200, { ...pulled, is_set_aside: true });
  expect(kept.ok).toBe(true);
  expect(kept.text).toContain("The log gets it when it can be written");
  expect(outcomeOf(200, { ...pulled, is_set_aside: true, is_zero: false, missing: ["b"] }).ok).toBe(false);
});

test("a refusal names the missing role, and who is not logged in learns how", () => {
  const error = { message: "this needs the role operator; ann has viewer", hint: "an administrator adds operator" };
  expect(outcomeOf(403, { error }).text).toBe("this needs the role operator; ann has viewer (an administrator adds operator)");
  expect(outcomeOf(401, {}).text).toContain("crossfade login");
  expect(outcomeOf(500, {}).text).toBe("status 500");
});

test("without control, the way back is named all the same", () => {
  expect(outcomeOf(null, {}).text).toContain("/admin/kill/FEATURE");
});
