// The first question a page must answer: is anything wrong now? Pure, so that it is tested without a browser.

import type { Overview } from "./api";

export interface Trouble {
  severity: "bad" | "warn";
  text: string;
}

const STALE_AFTER_S = 5;

export function troubles(news: Overview): Trouble[] {
  const found: Trouble[] = [];
  if (news.config_error) found.push({ severity: "warn", text: `The changed config was not applied: ${news.config_error}` });
  if (news.gateways.length === 0) found.push({ severity: "bad", text: "No gateway has reported." });
  for (const gateway of news.gateways) {
    if (gateway.age_s > STALE_AFTER_S) {
      found.push({ severity: "bad", text: `Gateway ${gateway.name} was last heard ${Math.round(gateway.age_s)} s ago.` });
    }
    if (gateway.snapshot_version < news.version) {
      found.push({ severity: "warn", text: `Gateway ${gateway.name} serves snapshot ${gateway.snapshot_version}, newest is ${news.version}.` });
    }
    if (gateway.records_dropped > 0) {
      found.push({ severity: "warn", text: `Gateway ${gateway.name} dropped ${gateway.records_dropped} records.` });
    }
  }
  for (const endpoint of news.endpoints) {
    if (endpoint.state !== "closed") {
      found.push({ severity: "bad", text: `Endpoint ${endpoint.name} is ${endpoint.state.replace("_", "-")}: ${endpoint.reason}` });
    }
  }
  for (const feature of news.features) {
    if (feature.killed) found.push({ severity: "warn", text: `Feature ${feature.name}: the local kill switch is on.` });
    if (feature.local_rollback) {
      found.push({ severity: "bad", text: `Feature ${feature.name}: rolled back by the gateway: ${feature.local_rollback}` });
    }
  }
  for (const migration of news.migrations) {
    if (migration.state === "rolled_back" || migration.state === "held") {
      found.push({ severity: "warn", text: `Migration ${migration.name} is ${migration.state.replace("_", " ")}: ${migration.next_reason}` });
    }
  }
  return found;
}

export function percent(share: number): string {
  const value = share * 100;
  return `${Number.isInteger(value) ? value : value.toFixed(value < 10 ? 1 : 0)} %`;
}
