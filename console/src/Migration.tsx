import type { GateRow, MigrationRow, StepRow } from "./api";
import { ShareChart } from "./ShareChart";
import { percent } from "./summary";

const MARKS = { done: "✓", current: "●", waiting: "○", failed: "✕" } as const;

export function Migration({ migration }: { migration: MigrationRow }) {
  return (
    <section id={`migration-${migration.name}`}>
      <h2>
        Migration {migration.name} <span className={`chip state-${migration.state}`}>{migration.state.replace("_", " ")}</span>
      </h2>
      <p>
        <b>{migration.features.join(", ")}</b>: {migration.incumbent} → {migration.candidate}, candidate at{" "}
        <b>{percent(migration.share)}</b>. Next: {migration.next_action}
        <span className="quiet"> {migration.next_reason}</span>
        {migration.progress && <span className="quiet"> · {migration.progress}</span>}
      </p>
      <ol className="steps">
        {migration.steps.map((step) => (
          <Step key={step.name} step={step} />
        ))}
      </ol>
      {migration.timeline.length > 0 && <ShareChart points={migration.timeline} />}
    </section>
  );
}

function Step({ step }: { step: StepRow }) {
  return (
    <li className={`step ${step.state}`}>
      <h3>
        <span aria-hidden="true">{MARKS[step.state]}</span> {step.name} <span className="visually-hidden">{step.state}</span>
      </h3>
      <ul>
        {step.gates.map((gate) => (
          <Gate key={gate.name} gate={gate} />
        ))}
      </ul>
    </li>
  );
}

function Gate({ gate }: { gate: GateRow }) {
  const until = gate.until_unix_s ? `, until ${new Date(gate.until_unix_s * 1000).toLocaleDateString()}` : "";
  return (
    <li title={`needs ${gate.needs}; has ${gate.has}${until}`}>
      <span className={`chip ${gate.verdict}`}>{gate.verdict}</span> {gate.name}
      <span className="quiet"> {gate.reason}</span>
    </li>
  );
}
