// What control sends, by hand: its OpenAPI leaves this document open. `tests/console` compiles a real
// document against these types. But for a rollback, the console only reads: GET /api/v1/overview, and the same document
// on every change from the server-sent events of /api/v1/events, or `Unread` alone from a control that was started
// without its log.

export type Verdict = "pass" | "fail" | "inconclusive";
export type Arm = "main" | "baseline" | "candidate" | "experiment" | "shadow" | "pin";
export type BreakerState = "closed" | "open" | "half_open" | "quarantined" | "unknown";

/** One arm's requests of the last minute. `first_hard`: its first attempt failed, saved by a backup or not. */
export interface ArmMinute {
  readonly arm: Arm;
  readonly requests: number;
  readonly caller_errors: number;
  readonly first_hard: number;
}

/** `hierarchy`: pools in order of preference. `requests` and `caller_errors`: since control started. */
export interface FeatureRow {
  readonly name: string;
  readonly request_class: string;
  readonly hierarchy: readonly string[];
  readonly candidate_share: number;
  readonly candidate: string | null;
  readonly migration: string | null;
  readonly local_rollback: string | null;
  readonly killed: boolean;
  readonly requests_per_s: number;
  readonly caller_errors: number;
  readonly requests: number;
  readonly last_minute: readonly ArmMinute[];
}

/** `share`: what the breaker admits, 0 to 1. */
export interface EndpointRow {
  readonly name: string;
  readonly provider: string;
  readonly region: string | null;
  readonly model: string;
  readonly capacity_class: string;
  readonly state: BreakerState;
  readonly share: number;
  readonly reason: string;
}

export interface GatewayRow {
  readonly name: string;
  readonly snapshot_version: number;
  readonly age_s: number;
  readonly records_dropped: number;
  readonly in_flight: number;
}

/** A record behind a gate. `why_not`: why it does not count, empty if it does. */
export interface EvidenceRow {
  readonly id: string;
  readonly kind: string;
  readonly subject: string;
  readonly role: string | null;
  readonly by: string;
  readonly method: string;
  readonly verdict: Verdict;
  readonly why_not: string;
  readonly how_sure: string;
  readonly since_unix_s: number;
  readonly until_unix_s: number;
}

export interface GateRow {
  readonly name: string;
  readonly verdict: Verdict;
  readonly reason: string;
  readonly needs: string;
  readonly has: string;
  readonly since_unix_s: number | null;
  readonly until_unix_s: number | null;
  readonly evidence: readonly EvidenceRow[];
}

export interface StepRow {
  readonly name: string;
  readonly state: "done" | "current" | "waiting" | "failed";
  readonly gates: readonly GateRow[];
}

/** A change of the candidate's share. */
export interface SharePoint {
  readonly unix_s: number;
  readonly share: number;
  readonly kind: "start" | "advance" | "roll_back" | "promote";
  readonly note: string;
}

/** Both arms since a share was set. */
export interface StageCounts {
  readonly share: number;
  readonly baseline_share: number;
  readonly candidate_requests: number;
  readonly candidate_bad: number;
  readonly control_requests: number;
  readonly control_bad: number;
}

/** One guard: how strong the evidence of harm and of parity is, and where each ends the stage. */
export interface GuardRow {
  readonly name: string;
  readonly is_hard: boolean;
  readonly e_value: number;
  readonly rolls_back_at: number;
  readonly promotion_e_value: number;
  readonly promotes_at: number;
  readonly candidate_rate: number | null;
  readonly control_rate: number;
  readonly measured: number;
}

export interface Guards {
  readonly guards: readonly GuardRow[];
  readonly stages: readonly StageCounts[];
}

/** Both arms summed over the epoch's stages up to a moment. */
export interface CountPoint {
  readonly unix_s: number;
  readonly epoch: number;
  readonly candidate_requests: number;
  readonly candidate_bad: number;
  readonly control_requests: number;
  readonly control_bad: number;
}

export interface FailureRow {
  readonly kind: string;
  readonly subject: string;
  readonly error: string;
  readonly count: number;
  readonly unix_s: number;
}

export interface MigrationRow {
  readonly name: string;
  readonly features: readonly string[];
  readonly incumbent: string;
  readonly candidate: string;
  readonly parameters: Readonly<Record<string, string | number | boolean | null>>;
  readonly started_unix_s: number;
  readonly state: string;
  readonly stage: number | null;
  readonly stages: readonly number[];
  readonly share: number;
  readonly next_action: string;
  readonly next_reason: string;
  readonly progress: string | null;
  readonly failures: readonly FailureRow[];
  readonly steps: readonly StepRow[];
  readonly guard: Guards | null;
  readonly timeline: readonly SharePoint[];
  readonly counts: readonly CountPoint[];
}

/** What users say of a feature's answers from an endpoint: shares of bad votes. */
export interface FeedbackRow {
  readonly feature: string;
  readonly endpoint: string;
  readonly votes: number;
  readonly ordinary: number;
  readonly rate: number | null;
  readonly is_worse: boolean;
  readonly until_unix_s: number | null;
  readonly keep: number;
}

/** A migration's split at one gateway. `share`: as published; `share_now`: what the gateway does with it. */
export interface Split {
  readonly feature: string;
  readonly migration: string;
  readonly candidate: string;
  readonly share: number;
  readonly share_now: number;
  readonly killed: boolean;
  readonly local_rollback: string | null;
}

export interface BreakerRow {
  readonly endpoint: string;
  readonly state: BreakerState;
  readonly share: number;
  readonly reason: string;
}

/** `admin`: its admin port as control calls it. `error`: why it is not known what it does, empty if it is. */
export interface UnreadGateway {
  readonly name: string;
  readonly admin: string | null;
  readonly error: string;
  readonly snapshot_version: number | null;
  readonly splits: readonly Split[];
  readonly endpoints: readonly BreakerRow[];
}

/** A rollback that the log does not have yet. */
export interface SetAside {
  readonly migration: string;
  readonly reason: string;
  readonly unix_s: number | null;
}

/**
 * `since_unix_s`: when control was started without its log, null where it had read it before. `is_heard`:
 * gateways whose connection to the control before broke have had the time to ask.
 */
export interface Unread {
  readonly why: string;
  readonly since_unix_s: number | null;
  readonly unix_s: number;
  readonly is_heard: boolean;
  readonly gateways: readonly UnreadGateway[];
  readonly set_aside: readonly SetAside[];
  readonly credentials: Readonly<Record<string, string>>;
}

/**
 * `credentials`: providers whose credential could not be fetched, with why. `unread`: null where the log is
 * read; else `migrations` is empty, and this is what the gateways say of them.
 */
export interface Overview {
  readonly version: number;
  readonly unix_s: number;
  readonly config_error: string | null;
  readonly features: readonly FeatureRow[];
  readonly pools: Readonly<Record<string, readonly string[]>>;
  readonly endpoints: readonly EndpointRow[];
  readonly gateways: readonly GatewayRow[];
  readonly migrations: readonly MigrationRow[];
  readonly unread: Unread | null;
  readonly credentials: Readonly<Record<string, string>>;
  readonly feedback: readonly FeedbackRow[];
}
