import type { Health } from "../state/serving";

const SAYS: Record<Health, string> = { up: "healthy", partly: "partly down", down: "down", unknown: "unknown" };
const MARKS: Record<Health, string> = { up: "●", partly: "◐", down: "✕", unknown: "?" };

/** A pool's or an endpoint's health as a mark that does not rest on colour alone. */
export function HealthMark({ health }: { health: Health }) {
  return (
    <span className={`mark ${health}`} role="img" aria-label={SAYS[health]} title={SAYS[health]}>
      {MARKS[health]}
    </span>
  );
}
