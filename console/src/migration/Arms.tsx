import type { GuardRow, Guards, StageCounts } from "../state/api";
import { count, eValue, percent } from "../state/words";

/** Both arms side by side, stage by stage, and how strong the evidence for either verdict is. */
export function Arms({ guard }: { guard: Guards }) {
  return (
    <div className="arms">
      <table className="rows">
        <thead>
          <tr>
            <th>Stage</th>
            <th className="number">Candidate requests</th>
            <th className="number">bad</th>
            <th className="number">Control requests</th>
            <th className="number">bad</th>
          </tr>
        </thead>
        <tbody>
          {guard.stages.map((stage) => (
            <Stage key={stage.share} stage={stage} />
          ))}
        </tbody>
      </table>
      <table className="rows">
        <thead>
          <tr>
            <th>Guard</th>
            <th className="number">Candidate bad</th>
            <th className="number">Control bad</th>
            <th>Evidence of harm</th>
            <th>Evidence of parity</th>
          </tr>
        </thead>
        <tbody>
          {guard.guards.map((row) => (
            <GuardLine key={row.name} guard={row} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Stage({ stage }: { stage: StageCounts }) {
  return (
    <tr>
      <th scope="row">{percent(stage.share)}</th>
      <td data-label="Candidate requests" className="number">
        {count(stage.candidate_requests)}
      </td>
      <td data-label="Candidate bad" className={`number ${stage.candidate_bad ? "warn-text" : ""}`}>
        {bad(stage.candidate_bad, stage.candidate_requests)}
      </td>
      <td data-label="Control requests" className="number">
        {stage.baseline_share > 0 ? count(stage.control_requests) : "none"}
      </td>
      <td data-label="Control bad" className="number">
        {stage.baseline_share > 0 ? bad(stage.control_bad, stage.control_requests) : "–"}
      </td>
    </tr>
  );
}

function bad(number: number, of: number): string {
  return number ? `${count(number)} (${percent(number / of)})` : "0";
}

function GuardLine({ guard }: { guard: GuardRow }) {
  return (
    <tr>
      <th scope="row">
        {guard.name} {guard.is_hard && <span className="quiet">hard</span>}
      </th>
      <td data-label="Candidate bad" className="number">
        {guard.candidate_rate === null ? <span className="quiet">not measured</span> : percent(guard.candidate_rate)}
      </td>
      <td data-label="Control bad" className="number">
        {percent(guard.control_rate)}
      </td>
      <td data-label="Evidence of harm">
        <Evidence value={guard.e_value} limit={guard.rolls_back_at} role="harm" then="rolls back" />
      </td>
      <td data-label="Evidence of parity">
        <Evidence value={guard.promotion_e_value} limit={guard.promotes_at} role="parity" then="is strong" />
      </td>
    </tr>
  );
}

/** An e-value on a logarithmic scale from 1 (none) to its limit. */
function Evidence({ value, limit, role, then }: { value: number; limit: number; role: "harm" | "parity"; then: string }) {
  const filled = Math.min(1, Math.max(0, Math.log(Math.max(value, 1)) / Math.log(limit)));
  return (
    <span className={`evidence ${role}`}>
      {eValue(value)} <span className="quiet">{then} at {eValue(limit)}</span>
      <span className="bar" aria-hidden="true">
        <span style={{ width: `${filled * 100}%` }} />
      </span>
    </span>
  );
}
