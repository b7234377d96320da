import type { MigrationRow, StepRow } from "../state/api";
import { duration, moment, percent, plain, progress, readable } from "../state/words";
import { Arms } from "./Arms";
import { commandFor } from "./wording";
import { Gates } from "./Gates";
import { Plots } from "./Plots";
import { RollBack } from "./RollBack";

const MARKS = { done: "✓", current: "●", waiting: "○", failed: "✕" } as const;

export function Migration({ migration, now }: { migration: MigrationRow; now: number }) {
  return (
    <>
      <div className="head">
        <h3>
          {migration.name} <span className={`chip state-${migration.state}`}>{plain(migration.state)}</span>
        </h3>
        <p>
          <b>{migration.features.join(", ")}</b> from <b>{migration.incumbent}</b> to <b>{migration.candidate}</b>{parametersOf(migration)}
        </p>
        <p className="quiet">
          started {moment(migration.started_unix_s, now)}, {duration(now - migration.started_unix_s)} ago
        </p>
      </div>
      <Ladder migration={migration} />
      <Next migration={migration} now={now} />
      {migration.state !== "closed" && <RollBack name={migration.name} />}
      <ol className="steps" aria-label="Steps">
        {migration.steps.map((step) => (
          <Step key={step.name} step={step} />
        ))}
      </ol>
      <Gates steps={migration.steps} now={now} />
      {migration.guard && <Arms guard={migration.guard} />}
      <Plots migration={migration} now={now} />
      <Events migration={migration} now={now} />
    </>
  );
}

function parametersOf(migration: MigrationRow): string {
  const set = Object.entries(migration.parameters).map(([name, value]) => `${name} ${value}`);
  return set.length > 0 ? ` with ${set.join(", ")}` : "";
}

function Ladder({ migration }: { migration: MigrationRow }) {
  const reached = migration.stage ?? 0;
  return (
    <div className="ladder">
      <p>
        <b className="big">{percent(migration.share)}</b> on the candidate
      </p>
      <ol aria-label="Stages">
        {migration.stages.map((share, index) => (
          <li
            key={share}
            className={index + 1 < reached ? "passed" : index + 1 === reached ? "at" : undefined}
            aria-current={index + 1 === reached ? "step" : undefined}
          >
            {percent(share)}
          </li>
        ))}
      </ol>
    </div>
  );
}

function Next({ migration, now }: { migration: MigrationRow; now: number }) {
  const command = commandFor(migration);
  return (
    <div className={`next ${migration.state}`}>
      <p>
        {migration.state === "closed" ? (
          <b>Closed with the candidate at {percent(migration.share)}.</b>
        ) : (
          <>
            <b>Next: {plain(migration.next_action)}.</b> {readable(migration.next_reason)}
          </>
        )}
        {migration.progress && <span className="quiet"> ({progress(migration.progress)})</span>}
      </p>
      {migration.failures.map((failure) => (
        <p key={`${failure.kind} ${failure.subject}`} className="warn-text">
          Could not collect {plain(failure.kind)} of {failure.subject}: {failure.error}{" "}
          <span className="quiet">
            ({failure.count} in a row, last at {moment(failure.unix_s, now)})
          </span>
        </p>
      ))}
      {command && (
        <p>
          <code>{command}</code>
        </p>
      )}
    </div>
  );
}

function Step({ step }: { step: StepRow }) {
  const passed = step.gates.filter((gate) => gate.verdict === "pass").length;
  return (
    <li className={step.state} aria-current={step.state === "current" ? "step" : undefined}>
      <span className="mark" aria-hidden="true">
        {MARKS[step.state]}
      </span>
      <b>{step.name}</b>
      <span className="quiet">{step.gates.length > 0 ? `${passed} of ${step.gates.length} gates` : step.state}</span>
      <span className="visually-hidden">{step.state}</span>
    </li>
  );
}

const EVENTS = { start: "started", advance: "advanced", roll_back: "rolled back", promote: "promoted" } as const;

function Events({ migration, now }: { migration: MigrationRow; now: number }) {
  return (
    <ol className="events" aria-label="Changes of the share">
      {[...migration.timeline].reverse().map((point) => (
        <li key={`${point.unix_s} ${point.kind}`} className={point.kind}>
          <time dateTime={new Date(point.unix_s * 1000).toISOString()}>{moment(point.unix_s, now)}</time>
          <b>{EVENTS[point.kind]}</b> <span className="number">{percent(point.share)}</span>
          <span className="quiet">{point.kind === "start" ? "" : readable(point.note)}</span>
        </li>
      ))}
    </ol>
  );
}
