// What control sends. The console only reads: everything here comes from GET /api/v1/overview and
// from the server-sent events of /api/v1/events, which carry the same document on every change.

export type Verdict = "pass" | "fail" | "inconclusive";

export interface FeatureRow {
  name: string;
  request_class: string;
  hierarchy: string[];
  candidate_share: number;
  candidate: string | null;
  migration: string | null;
  local_rollback: string | null;
  killed: boolean;
  requests_per_s: number;
  caller_errors: number;
  requests: number;
}

export interface EndpointRow {
  name: string;
  provider: string;
  region: string | null;
  model: string;
  capacity_class: string;
  state: string;
  share: number;
  reason: string;
}

export interface GatewayRow {
  name: string;
  snapshot_version: number;
  age_s: number;
  records_dropped: number;
  in_flight: number;
}

export interface GateRow {
  name: string;
  verdict: Verdict;
  reason: string;
  needs: string;
  has: string;
  until_unix_s: number | null;
}

export interface StepRow {
  name: string;
  state: "done" | "current" | "waiting" | "failed";
  gates: GateRow[];
}

export interface SharePoint {
  unix_s: number;
  share: number;
  note: string;
}

export interface MigrationRow {
  name: string;
  features: string[];
  incumbent: string;
  candidate: string;
  state: string;
  stage: number | null;
  share: number;
  next_action: string;
  next_reason: string;
  progress: string | null;
  steps: StepRow[];
  timeline: SharePoint[];
}

export interface Overview {
  version: number;
  unix_s: number;
  config_error: string | null;
  features: FeatureRow[];
  endpoints: EndpointRow[];
  gateways: GatewayRow[];
  migrations: MigrationRow[];
}

export async function fetchOverview(): Promise<Overview> {
  const answer = await fetch("./api/v1/overview");
  if (!answer.ok) throw new Error(`control answered ${answer.status}`);
  return (await answer.json()) as Overview;
}

/** Calls back with every new overview; `onLost` when the connection breaks (the browser reconnects). */
export function followOverview(onNews: (news: Overview) => void, onLost: () => void): () => void {
  const source = new EventSource("./api/v1/events");
  source.addEventListener("overview", (event) => onNews(JSON.parse((event as MessageEvent<string>).data) as Overview));
  source.onerror = onLost;
  return () => source.close();
}
