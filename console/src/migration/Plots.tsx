import { useMemo } from "react";
import type { MigrationRow } from "../state/api";
import { Plot, type Line } from "./Plot";
import { endOf, rateSeries, shareSeries } from "./series";

const SHARE: readonly Line[] = [{ label: "candidate's share", colour: "--candidate", isStepped: true }];
const RATES: readonly Line[] = [
  { label: "candidate", colour: "--candidate", isStepped: false },
  { label: "control", colour: "--incumbent", isStepped: false },
];

/** Share and bad requests on one time axis; rollbacks are marked on both. */
export function Plots({ migration, now }: { migration: MigrationRow; now: number }) {
  const { timeline, counts, state } = migration;
  const end = endOf(state, timeline, counts, now);
  const share = useMemo(() => shareSeries(timeline, end), [timeline, end]);
  const rates = useMemo(() => rateSeries(counts), [counts]);
  const marks = useMemo(() => timeline.filter((point) => point.kind === "roll_back").map((point) => point.unix_s), [timeline]);
  const moved = timeline.find((point) => point.kind !== "start")?.unix_s;
  if (moved === undefined) return null;
  const began = moved - Math.max(5, 0.03 * (end - moved)); // weeks before the first share would squeeze the rest
  return (
    <div className="plots">
      <Plot title="Candidate's share" unit="%" lines={SHARE} series={share} span={[began, end]} marks={marks} top={100} />
      <Plot title="Bad requests per arm" unit="%" lines={RATES} series={rates} span={[began, end]} marks={marks} top={5} />
    </div>
  );
}
