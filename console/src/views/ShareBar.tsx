import type { Part } from "../state/serving";
import { percent } from "../state/words";

/** Who serves how much, as one bar with its numbers beside it. */
export function ShareBar({ parts }: { parts: readonly Part[] }) {
  return (
    <div className="share">
      <div className="bar" aria-hidden="true">
        {parts.map((part) => (
          <span key={part.pool} className={part.role} style={{ flexGrow: part.share }} />
        ))}
      </div>
      <ul>
        {parts.map((part) => (
          <li key={part.pool}>
            <i className={part.role} aria-hidden="true" />
            <b>{percent(part.share)}</b> {part.pool}
            {part.role !== "incumbent" && <span className="quiet"> {part.role}</span>}
          </li>
        ))}
      </ul>
    </div>
  );
}
