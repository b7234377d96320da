// Who answers a feature's requests now, from its hierarchy, the breakers and the candidate's share.

import type { EndpointRow, FeatureRow, GatewayRow, Overview } from "./api";
import { percent } from "./words";

const STALE_AFTER_S = 5;

/** Whether what a gateway last said may no longer hold: it may well be serving. */
export function isStale(gateway: GatewayRow): boolean {
  return gateway.age_s > STALE_AFTER_S;
}

/** Of all features together. Null: no gateway says so now. */
export interface Totals {
  readonly requestsPerS: number | null;
  readonly errors: number | null;
  readonly inFlight: number | null;
  readonly healthy: number | null;
  readonly ill: number;
}

export function totalsOf({ features, endpoints, gateways }: Overview): Totals {
  const isHeard = gateways.some((gateway) => !isStale(gateway));
  const known = endpoints.filter((endpoint) => endpoint.state !== "unknown");
  const healthy = known.filter((endpoint) => endpoint.state === "closed").length;
  const sum = (values: readonly number[]) => (isHeard ? values.reduce((total, value) => total + value, 0) : null);
  return {
    requestsPerS: sum(features.map((feature) => feature.requests_per_s)),
    errors: sum(features.flatMap((feature) => feature.last_minute.map((arm) => arm.caller_errors))),
    inFlight: sum(gateways.map((gateway) => gateway.in_flight)),
    healthy: known.length > 0 ? healthy : null,
    ill: known.length - healthy,
  };
}

export type Health = "up" | "partly" | "down" | "unknown";

export interface Target {
  readonly pool: string;
  readonly health: Health;
  readonly admits: number; // of the requests that come to it, 0 to 1
  readonly isServing: boolean;
}

export interface Part {
  readonly pool: string;
  readonly share: number;
  readonly role: "candidate" | "incumbent" | "backup";
}

export function poolHealth(members: readonly EndpointRow[]): Health {
  if (members.length === 0 || members.every((one) => one.state === "unknown")) return "unknown";
  if (members.every((one) => one.share === 0)) return "down";
  return members.every((one) => one.state === "closed") ? "up" : "partly";
}

/** The hierarchy with its health; the first pool that is not down serves what the candidate does not. */
export function targetsOf(feature: FeatureRow, news: Overview): Target[] {
  const rows = feature.hierarchy.map((pool) => {
    const members = membersOf(pool, news);
    return { pool, health: poolHealth(members), admits: admittedBy(members) };
  });
  const serving = rows.findIndex((row) => row.health === "up" || row.health === "partly");
  return rows.map((row, index) => ({ ...row, isServing: index === serving && feature.candidate_share < 1 }));
}

export function healthOf(pool: string, news: Overview): Health {
  return poolHealth(membersOf(pool, news));
}

/** The part of the requests that come to a pool which its breakers let in. */
function admittedBy(members: readonly EndpointRow[]): number {
  return Math.max(0, ...members.map((one) => one.share));
}

function membersOf(pool: string, news: Overview): EndpointRow[] {
  const names = new Set(news.pools[pool] ?? []);
  return news.endpoints.filter((endpoint) => names.has(endpoint.name));
}

/**
 * Parts of the feature's traffic by pool, as shares and breakers have it: what a recovering pool does not
 * admit, the candidate's too, goes to the next. They add up to less than 1 where nothing serves the rest, to 0 where nobody knows.
 */
export function partsOf(feature: FeatureRow, targets: readonly Target[], news: Overview): Part[] {
  const parts: Part[] = [];
  let rest = 1;
  if (feature.candidate) {
    const share = feature.candidate_share * admittedBy(membersOf(feature.candidate, news));
    if (share > 1e-6) parts.push({ pool: feature.candidate, share, role: "candidate" });
    rest -= share;
  }
  for (const [index, target] of targets.entries()) {
    const share = rest * target.admits;
    if (share > 1e-6) parts.push({ pool: target.pool, share, role: index === 0 ? "incumbent" : "backup" });
    rest -= share;
  }
  return parts;
}

/** What the breaker's state means for requests. */
export function breakerText(endpoint: Pick<EndpointRow, "state" | "share">): string {
  switch (endpoint.state) {
    case "closed":
      return "healthy";
    case "open":
      return "breaker open, takes no requests";
    case "half_open":
      return endpoint.share > 0 ? `recovering, takes ${percent(endpoint.share)} of its requests` : "tried by one request at a time, takes no others";
    case "quarantined":
      return "quarantined, takes no requests";
    case "unknown":
      return "unknown";
  }
}
