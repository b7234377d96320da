// Each gate in plain words: what it is called and what it asks for.

interface GateWords {
  readonly title: string;
  readonly asks: string;
}

const WORDS: Readonly<Record<string, GateWords>> = {
  compliance: { title: "Sign-offs and posture", asks: "every required role has signed, every machine check holds, what no API shows is attested where a policy asks" },
  capacity_mapping: { title: "Capacity found", asks: "a load test that finds the units the traffic needs, and enough of them bought" },
  shadow_confirmation: { title: "Capacity under shadow", asks: "copies of real traffic at full rate are carried" },
  quality_parity: { title: "Quality parity", asks: "answers not worse than the margins, judged and checked against labels" },
  latency_parity: { title: "Latency parity", asks: "latency quantiles not worse than the margins" },
  drill: { title: "Rollback drill", asks: "the way back walked on every gateway within 7 days" },
};

export function wordsOf(gate: string): GateWords {
  return WORDS[gate] ?? { title: gate.replaceAll("_", " "), asks: "" };
}

/** The command a person may want next; null when the playbook goes on by itself. */
export function commandFor(migration: { name: string; state: string; next_action: string; next_reason: string }): string | null {
  const { name, state, next_action: action, next_reason: reason } = migration;
  if (state === "closed") return `crossfade migration report ${name}`;
  if (action === "roll_back") return null; // it is under way: nothing to resume yet
  const verb = reason.includes("needs an attestation") ? "attest" : "sign";
  if (action === "ask") return `crossfade migration ${verb} ${name} --as ROLE --name "YOUR NAME" --statement FILE`;
  if (state === "rolled_back" || state === "held" || reason.includes("fails")) return `crossfade migration resume ${name}`;
  if (reason.includes("needs a person's `advance`")) return `crossfade migration advance ${name}`;
  return null;
}
