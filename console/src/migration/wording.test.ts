import { expect, test } from "vitest";
import { migration } from "../state/example";
import { commandFor } from "./wording";

test("a command is offered only where a person is needed", () => {
  expect(commandFor(migration)).toBeNull();
  expect(commandFor({ ...migration, next_action: "ask" })).toContain("sign move");
  const asked = { ...migration, next_action: "ask", next_reason: "compliance needs an attestation of retention of e" };
  expect(commandFor(asked)).toContain("attest move");
  expect(commandFor({ ...migration, state: "rolled_back" })).toContain("resume move");
  expect(commandFor({ ...migration, state: "rolled_back", next_action: "roll_back" })).toBeNull();
  expect(commandFor({ ...migration, next_reason: "weak evidence, needs a person's `advance`" })).toContain("advance move");
  expect(commandFor({ ...migration, state: "closed", next_action: "none" })).toContain("report move");
});
