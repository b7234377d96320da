// While control cannot read its log, it knows by its gateways alone which migrations they carry. Pure, so that
// it is tested.

import type { SetAside, Split, Unread, UnreadGateway } from "./api";
import { breakerText } from "./serving";
import type { Trouble } from "./troubles";
import { sentence } from "./words";

/** One migration as the gateways carry it. `mayBeClosed`: at full share, which a closed one has too. */
export interface Carried {
  readonly name: string;
  readonly rows: readonly { readonly gateway: string; readonly admin: string | null; readonly split: Split }[];
  readonly most: number;
  readonly mayBeClosed: boolean;
  readonly setAside: readonly SetAside[];
}

/** By name, each migration that a gateway which answered carries. */
export function carriedOf(unread: Unread): Carried[] {
  const rows = unread.gateways.flatMap(({ name, admin, splits }) => splits.map((split) => ({ gateway: name, admin, split })));
  return [...new Set(rows.map((row) => row.split.migration))].sort().map((name) => {
    const own = rows.filter((row) => row.split.migration === name);
    return {
      name,
      rows: own,
      most: Math.max(...own.map((row) => row.split.share_now)),
      mayBeClosed: own.some((row) => row.split.share === 1),
      setAside: unread.set_aside.filter((line) => line.migration === name),
    };
  });
}

/** What a person types to pull a gateway's own switch, or to release it. */
export function switchCommand(admin: string | null, { feature, killed }: Split): string {
  return `curl -X ${killed ? "DELETE" : "PUT"} ${admin ?? "http://GATEWAY_ADMIN"}/admin/kill/${encodeURIComponent(feature)}`;
}

/** What is wrong as far as the gateways of a control tell that was started without its log, the worst first. */
export function unreadTroubles(unread: Unread): Trouble[] {
  const found = [...ofGateways(unread), ...ofLocal(unread), ...ofEndpoints(unread), ...ofCredentials(unread)];
  return [...found.filter((one) => one.severity === "bad"), ...found.filter((one) => one.severity === "warn")];
}

function* ofGateways({ gateways, is_heard }: Unread): Iterable<Trouble> {
  const place = "gateways";
  if (gateways.length === 0) {
    const text = is_heard
      ? "No gateway has asked this control yet, so nothing is known of any. One whose machine or network was lost asks within half a minute."
      : "No gateway has asked this control yet. It has just started: they ask within five seconds.";
    yield { id: "no-gateway", severity: is_heard ? "bad" : "warn", place, text };
  }
  yield* unheard(gateways);
}

/** Gateways of which it is not known what they do. */
export function* unheard(gateways: readonly UnreadGateway[]): Iterable<Trouble> {
  for (const { name, error } of gateways.filter((one) => one.error)) {
    const text = `It is not known what gateway ${name} does with migrations. ${sentence(error)}`;
    yield { id: `unknown ${name}`, severity: "bad", place: "gateways", text };
  }
}

function* ofLocal({ gateways }: Unread): Iterable<Trouble> {
  for (const { name, splits } of gateways) {
    for (const { feature, migration, local_rollback } of splits) {
      if (!local_rollback) continue;
      const text = `Gateway ${name} took feature ${feature} back by itself. ${sentence(local_rollback)}`;
      yield { id: `local ${name} ${feature}`, severity: "bad", place: `migration-${migration}`, text };
    }
  }
}

function* ofEndpoints({ gateways }: Unread): Iterable<Trouble> {
  for (const { name, endpoints } of gateways) {
    for (const row of endpoints.filter((one) => one.state !== "closed")) {
      const severity = row.state === "half_open" && row.share > 0 ? "warn" : "bad";
      const text = `Endpoint ${row.endpoint}: ${breakerText(row)}, says gateway ${name}. ${sentence(row.reason)}`;
      yield { id: `endpoint ${name} ${row.endpoint}`, severity, place: "gateways", text };
    }
  }
}

function* ofCredentials({ credentials }: Unread): Iterable<Trouble> {
  for (const [provider, why] of Object.entries(credentials)) {
    yield { id: `credential ${provider}`, severity: "bad", place: "now", text: `The credential of ${provider} cannot be fetched. ${sentence(why)}` };
  }
}
