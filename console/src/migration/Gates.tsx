import type { EvidenceRow, GateRow, StepRow } from "../state/api";
import { duration, moment, plain, readable } from "../state/words";
import { wordsOf } from "./wording";

const VERDICTS = { pass: "✓ pass", fail: "✕ fail", inconclusive: "○ open" } as const;

/** Each gate in the open: what it needs, what it has, since when, until when, how sure. */
export function Gates({ steps, now }: { steps: readonly StepRow[]; now: number }) {
  const rows = steps.flatMap((step) => step.gates);
  if (rows.length === 0) return null;
  return (
    <table className="rows gates">
      <thead>
        <tr>
          <th>Gate</th>
          <th>Verdict</th>
          <th>Needs</th>
          <th>Has</th>
          <th>How sure</th>
          <th>Since</th>
          <th>Until</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((gate) => (
          <Gate key={gate.name} gate={gate} now={now} />
        ))}
      </tbody>
    </table>
  );
}

function Gate({ gate, now }: { gate: GateRow; now: number }) {
  const words = wordsOf(gate.name);
  const sure = gate.evidence.filter((row) => !row.why_not && row.how_sure).map((row) => row.how_sure);
  const isMissing = gate.has === "missing" || gate.has === "";
  return (
    <tr className={gate.verdict}>
      <th scope="row" title={gate.name}>
        {words.title}
      </th>
      <td data-label="Verdict">
        <span className={`chip ${gate.verdict}`}>{VERDICTS[gate.verdict]}</span>
      </td>
      <td data-label="Needs">{gate.needs && gate.needs !== gate.name ? gate.needs : words.asks}</td>
      <td data-label="Has">
        {gate.verdict === "inconclusive" && isMissing ? <span className="quiet">nothing yet</span> : gate.has || readable(gate.reason)}
        {gate.verdict !== "pass" && !isMissing && <span className="reason">{readable(gate.reason)}</span>}
        <Records rows={gate.evidence} now={now} />
      </td>
      <td data-label="How sure" className={sure.length > 0 ? undefined : "none"}>{sure.length > 0 ? sure.map((line) => <span key={line}>{line}</span>) : "–"}</td>
      <td data-label="Since" className={gate.since_unix_s ? "nowrap" : "none"}>
        {gate.since_unix_s ? moment(gate.since_unix_s, now) : "–"}
      </td>
      <td data-label="Until" className={gate.until_unix_s ? "nowrap" : "none"}>
        {gate.until_unix_s ? moment(gate.until_unix_s, now) : "–"}
        {gate.until_unix_s && <small className="quiet">in {duration(gate.until_unix_s - now)}</small>}
      </td>
    </tr>
  );
}

function Records({ rows, now }: { rows: readonly EvidenceRow[]; now: number }) {
  if (rows.length === 0) return null;
  return (
    <details className="records">
      <summary>
        {rows.length} {rows.length === 1 ? "record" : "records"}
      </summary>
      <ul>
        {rows.map((row) => (
          <li key={row.id}>
            <b>{row.role ?? plain(row.kind)}</b> of {row.subject}: {row.verdict} by {row.by}, {moment(row.since_unix_s, now)} to{" "}
            {moment(row.until_unix_s, now)}
            {row.why_not && <span className="warn-text"> Does not count: {row.why_not}.</span>}
            <code>{row.id}</code>
          </li>
        ))}
      </ul>
    </details>
  );
}
