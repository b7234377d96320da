import { expect, test } from "vitest";
import type { CountPoint, SharePoint } from "../state/api";
import { endOf, rateSeries, shareSeries } from "./series";

const point = (unix_s: number, share: number, kind: SharePoint["kind"]): SharePoint => ({ unix_s, share, kind, note: "" });
const counted = (unix_s: number, requests: number, bad: number, epoch = 1): CountPoint => ({
  unix_s,
  epoch,
  candidate_requests: requests,
  candidate_bad: bad,
  control_requests: requests * 2,
  control_bad: 0,
});

test("the last share holds until the end", () => {
  const series = shareSeries([point(10, 0, "start"), point(20, 0.25, "advance")], 50);

  expect(series).toEqual({ times: [10, 20, 50], values: [[0, 25, 25]] });
});

test("a rate is over the latest twenty requests of its arm, and unknown before", () => {
  const series = rateSeries([counted(1, 8, 8), counted(2, 16, 8), counted(3, 40, 10)]);

  expect(series.values[0]).toEqual([null, null, (100 * 2) / 24]);
  expect(series.values[1]).toEqual([null, 0, 0]);
});

test("a new epoch forgets the one before", () => {
  expect(rateSeries([counted(1, 40, 20), counted(2, 30, 0, 2)]).values[0]).toEqual([50, 0]);
});

test("a closed migration's plots end with it", () => {
  expect(endOf("closed", [point(10, 0, "start")], [counted(30, 1, 0)], 99)).toBe(30);
  expect(endOf("rollout", [point(10, 0, "start")], [], 99)).toBe(99);
});
