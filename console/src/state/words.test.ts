import { expect, test } from "vitest";
import { duration, eValue, percent, progress, readable, sentence } from "./words";

test("shares read as people write them", () => {
  expect([0, 0.01, 0.005, 0.25, 0.07, 1, 0.123].map(percent)).toEqual(["0 %", "1 %", "0.50 %", "25 %", "7 %", "100 %", "12 %"]);
});

test("durations have one unit", () => {
  expect([3, 89, 600, 7200, 10 * 86400].map(duration)).toEqual(["3 s", "89 s", "10 min", "2 h", "10 days"]);
});

test("how long a stage has baked reads as a duration, other progress stays", () => {
  expect(progress("41 of 36000 s, 249 of 50 requests")).toBe("41 s of 10 h, 249 of 50 requests");
  expect(progress("probe 1: 9 MU")).toBe("probe 1: 9 MU");
});

test("a sentence begins with a capital, unless it begins with a file or an address", () => {
  expect(["no route", "crossfade.yaml:10:3 is wrong", "http://a is away", "half-open: a probe", "Done."].map(sentence)).toEqual([
    "No route.",
    "crossfade.yaml:10:3 is wrong.",
    "http://a is away.",
    "Half-open: a probe.",
    "Done.",
  ]);
});

test("e-values stay short", () => {
  expect([0.034, 1, 19.6, 1000, 1e300].map(eValue)).toEqual(["0.034", "1.0", "20", "1,000", "over a million"]);
});

test("names of evidence become words, other names stay", () => {
  expect(readable("capacity_mapping of my_pool: missing")).toBe("capacity mapping of my_pool: missing");
});
