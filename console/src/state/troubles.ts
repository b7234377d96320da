// The first question a page must answer: is anything wrong now? Pure, so that it is tested without a browser.

import type { Overview, Unread } from "./api";
import type { Link } from "./follow";
import { breakerText, isStale } from "./serving";
import { unheard, unreadTroubles } from "./unread";
import { count, percent, plain, readable, sentence } from "./words";

/** `id` stays while the trouble lasts; `place`: the anchor of the part of the page that shows it. */
export interface Trouble {
  readonly id: string;
  readonly severity: "bad" | "warn";
  readonly text: string;
  readonly place: string;
}

/** Everything wrong now, the worst first. */
export function troubles(news: Overview): Trouble[] {
  const found = [...ofGateways(news), ...ofEndpoints(news), ...ofFeatures(news), ...ofMigrations(news), ...ofControl(news)];
  return [...found.filter((one) => one.severity === "bad"), ...found.filter((one) => one.severity === "warn")];
}

function* ofGateways(news: Overview): Iterable<Trouble> {
  const place = "gateways";
  if (news.gateways.length === 0) {
    yield { id: "no-gateway", severity: "bad", place, text: "No gateway has reported since control started." };
  }
  for (const gateway of news.gateways) {
    const { name, age_s, snapshot_version, records_dropped } = gateway;
    const silent = isStale(gateway);
    if (silent) {
      yield { id: `silent ${name}`, severity: "bad", place, text: `Gateway ${name} is silent; it was last heard ${Math.round(age_s)} s ago.` };
    }
    if (!silent && snapshot_version < news.version) {
      const text = `Gateway ${name} serves snapshot ${snapshot_version}; the newest is ${news.version}.`;
      yield { id: `old ${name}`, severity: "warn", place, text };
    }
    if (records_dropped > 0) {
      yield { id: `dropped ${name}`, severity: "warn", place, text: `Gateway ${name} dropped ${count(records_dropped)} records.` };
    }
  }
}

function* ofEndpoints(news: Overview): Iterable<Trouble> {
  for (const endpoint of news.endpoints) {
    if (endpoint.state === "closed" || endpoint.state === "unknown") continue; // unknown: its gateways are silent
    const text = `Endpoint ${endpoint.name}: ${breakerText(endpoint)}. ${sentence(endpoint.reason)}`;
    const severity = endpoint.state === "half_open" && endpoint.share > 0 ? "warn" : "bad";
    yield { id: `endpoint ${endpoint.name}`, severity, place: `endpoint-${endpoint.name}`, text };
  }
}

function* ofFeatures(news: Overview): Iterable<Trouble> {
  for (const feature of news.features) {
    const place = `feature-${feature.name}`;
    const errors = feature.last_minute.reduce((sum, arm) => sum + arm.caller_errors, 0);
    if (errors > 0) {
      const text = `Feature ${feature.name}: callers saw ${count(errors)} ${errors === 1 ? "error" : "errors"} in the last minute.`;
      yield { id: `errors ${feature.name}`, severity: "bad", place, text };
    }
    if (feature.local_rollback) {
      const text = `Feature ${feature.name} was rolled back by the gateway itself. ${sentence(feature.local_rollback)}`;
      yield { id: `local ${feature.name}`, severity: "bad", place, text };
    }
    if (feature.killed) {
      const release = `curl -X DELETE http://GATEWAY_ADMIN/admin/kill/${encodeURIComponent(feature.name)}`;
      const text = `Feature ${feature.name}: a kill switch is pulled and keeps every candidate at 0 %. Once it is safe, on each gateway: ${release}`;
      yield { id: `killed ${feature.name}`, severity: "warn", place, text };
    }
  }
}

function* ofMigrations(news: Overview): Iterable<Trouble> {
  for (const migration of news.migrations) {
    const place = `migration-${migration.name}`;
    const of = `Migration ${migration.name}`;
    if (migration.state === "rolled_back" || migration.state === "held") {
      yield { id: `state ${of}`, severity: "warn", place, text: `${of} stands still. ${sentence(migration.next_reason)}` };
    } else if (migration.next_action === "ask") {
      yield { id: `ask ${of}`, severity: "warn", place, text: `${of} waits for a person: ${readable(migration.next_reason)}.` };
    } else if (migration.next_action === "roll_back") {
      yield { id: `back ${of}`, severity: "bad", place, text: `${of} is rolling back. ${sentence(migration.next_reason)}` };
    } else if (migration.steps.some((step) => step.state === "failed")) {
      yield { id: `gate ${of}`, severity: "warn", place, text: `${of}: a gate fails. ${sentence(migration.next_reason)}` };
    }
    for (const failure of migration.failures) {
      const text = `${of} could not collect ${plain(failure.kind)} of ${failure.subject}. ${sentence(failure.error)}`;
      yield { id: `failure ${of} ${failure.kind} ${failure.subject}`, severity: "warn", place, text };
    }
  }
}

function* ofControl(news: Overview): Iterable<Trouble> {
  if (news.unread) yield* unheard(news.unread.gateways);
  if (news.config_error) {
    yield { id: "config", severity: "warn", place: "now", text: `The changed config was not applied. ${sentence(news.config_error)}` };
  }
  for (const { feature, endpoint, rate, ordinary, keep } of news.feedback.filter((row) => row.is_worse)) {
    const text = `Users like ${feature}'s answers from ${endpoint} less than they used to: ${percent(rate ?? 0)} of their votes are bad, ordinary is below ${percent(ordinary)}.${keep < 1 ? ` Where another is well, ${percent(keep)} of its requests still ask it first.` : ""}`;
    yield { id: `feedback ${feature} ${endpoint}`, severity: "warn", place: `feature-${feature}`, text };
  }
  for (const [provider, why] of Object.entries(news.credentials)) {
    yield { id: `credential ${provider}`, severity: "bad", place: "endpoints", text: `The credential of ${provider} cannot be fetched. ${sentence(why)}` };
  }
}

/** The page's title: the state in its first word, as a tab shows no more. */
export function titleOf(news: Overview | null, unread: Unread | null, link: Link): string {
  if (link === "lost") return "Control lost · Crossfade";
  if (link === "stranger") return "Log in · Crossfade";
  if (!news && !unread) return "Crossfade";
  const found = news ? troubles(news) : unread ? unreadTroubles(unread) : [];
  const bad = found.filter((one) => one.severity === "bad").length;
  if (bad) return `${bad} wrong · Crossfade`;
  if (unread) return "Log not read · Crossfade";
  return found.length ? `${found.length} to look at · Crossfade` : "All well · Crossfade";
}
