// The numbers of the plots: the candidate's share as steps, and each arm's rate of bad requests.

import type { CountPoint, SharePoint } from "../state/api";

export interface Series {
  readonly times: number[];
  readonly values: (number | null)[][];
}

const LEAST_REQUESTS = 20; // of one point of a rate: below it a single failure would draw a peak

/** Share in per cent; it holds until the next change, the last one until `end`. */
export function shareSeries(points: readonly SharePoint[], end: number): Series {
  const last = points[points.length - 1];
  if (!last) return { times: [], values: [[]] };
  return {
    times: [...points.map((point) => point.unix_s), Math.max(end, last.unix_s)],
    values: [[...points.map((point) => point.share * 100), last.share * 100]],
  };
}

/** Per cent of bad requests of candidate and control, each over its latest 20 requests or more. */
export function rateSeries(points: readonly CountPoint[]): Series {
  return {
    times: points.map((point) => point.unix_s),
    values: [
      points.map((_, index) => rate(points, index, "candidate")),
      points.map((_, index) => rate(points, index, "control")),
    ],
  };
}

function rate(points: readonly CountPoint[], index: number, arm: "candidate" | "control"): number | null {
  const here = points[index];
  if (!here) return null;
  for (let back = index - 1; back >= -1; back--) {
    const before = points[back];
    const isFirst = before === undefined || before.epoch !== here.epoch;
    const requests = here[`${arm}_requests`] - (isFirst ? 0 : before[`${arm}_requests`]);
    const bad = here[`${arm}_bad`] - (isFirst ? 0 : before[`${arm}_bad`]);
    if (requests >= LEAST_REQUESTS) return (100 * bad) / requests;
    if (isFirst) return null;
  }
  return null;
}

/** Where the plots end: now while the migration moves, else its last event. */
export function endOf(state: string, points: readonly SharePoint[], counts: readonly CountPoint[], now: number): number {
  if (state !== "closed") return now;
  return Math.max(0, ...points.map((point) => point.unix_s), ...counts.map((point) => point.unix_s));
}
