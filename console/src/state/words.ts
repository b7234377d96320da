// Numbers and times as people read them.

export function percent(share: number): string {
  const value = Number((share * 100).toPrecision(6)); // 0.07 * 100 is not 7
  if (value === 0 || Number.isInteger(value)) return `${value} %`;
  return `${value.toFixed(value < 1 ? 2 : value < 10 ? 1 : 0)} %`;
}

export function count(value: number): string {
  return value.toLocaleString("en-GB");
}

export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  if (s < 90 * 60) return `${Math.round(s / 60)} min`;
  if (s < 36 * 3600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} days`;
}

/** A moment: with seconds within the last hour, the time if it is near, else the day too. Local, 24 hours. */
export function moment(unixS: number, nowUnixS: number): string {
  const at = new Date(unixS * 1000);
  const isFresh = unixS <= nowUnixS && nowUnixS - unixS < 3600;
  const time = at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", ...(isFresh && { second: "2-digit" }) });
  if (Math.abs(unixS - nowUnixS) < 12 * 3600) return time;
  return `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time}`;
}

/** Control's line of a stage under way, `41 of 36000 s, …`, with durations as people read them. */
export function progress(text: string): string {
  return text.replace(/^(\d+) of (\d+) s,/, (_, passed: string, wanted: string) => `${duration(Number(passed))} of ${duration(Number(wanted))},`);
}

/** An e-value: evidence against the null, so 1 is none and 1000 is a lot. */
export function eValue(value: number): string {
  if (value >= 1e6) return "over a million";
  return value >= 100 ? count(Math.round(value)) : value.toPrecision(2);
}

/** `capacity_mapping` -> `capacity mapping`. */
export function plain(name: string): string {
  return name.replaceAll("_", " ");
}

const KINDS = ["capacity_mapping", "shadow_confirmation", "quality_parity", "latency_parity"];

/** Control's own sentence with its names of evidence as words. */
export function readable(text: string): string {
  return KINDS.reduce((said, kind) => said.replaceAll(kind, plain(kind)), text);
}

/** As a sentence of its own. */
export function sentence(text: string): string {
  const whole = readable(text.trim());
  const isWord = /^[a-z-]+[:,.;]?(\s|$)/.test(whole); // a file or an address stays as it is
  return whole && `${isWord ? whole[0]?.toUpperCase() : whole[0]}${whole.slice(1)}${/[.!?)]$/.test(whole) ? "" : "."}`;
}
