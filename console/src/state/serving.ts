// Who answers a feature's requests now, from its hierarchy, the breakers and the candidate's share.

import type { EndpointRow, FeatureRow, Overview } from "./api";
import { percent } from "./words";

export type Health = "up" | "partly" | "down" | "unknown";

export interface Target {
  readonly pool: string;
  readonly health: Health;
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
  const rows = feature.hierarchy.map((pool) => ({ pool, health: healthOf(pool, news) }));
  const serving = rows.findIndex((row) => row.health === "up" || row.health === "partly");
  return rows.map((row, index) => ({ ...row, isServing: index === serving && feature.candidate_share < 1 }));
}

export function healthOf(pool: string, news: Overview): Health {
  const names = new Set(news.pools[pool] ?? []);
  return poolHealth(news.endpoints.filter((endpoint) => names.has(endpoint.name)));
}

/** Parts of the feature's traffic by pool, adding up to 1; empty where nobody knows or nothing serves. */
export function partsOf(feature: FeatureRow, targets: readonly Target[]): Part[] {
  const index = targets.findIndex((target) => target.isServing);
  const serving = targets[index];
  const parts: Part[] = [];
  if (feature.candidate && feature.candidate_share > 0) {
    parts.push({ pool: feature.candidate, share: feature.candidate_share, role: "candidate" });
  }
  if (serving && feature.candidate_share < 1) {
    parts.push({ pool: serving.pool, share: 1 - feature.candidate_share, role: index === 0 ? "incumbent" : "backup" });
  }
  return parts;
}

/** What the breaker's state means for requests. */
export function breakerText(endpoint: EndpointRow): string {
  switch (endpoint.state) {
    case "closed":
      return "healthy";
    case "open":
      return "breaker open, takes no requests";
    case "half_open":
      return `recovering, takes ${percent(endpoint.share)} of its requests`;
    case "quarantined":
      return "quarantined, takes no requests";
    case "unknown":
      return "unknown";
  }
}
