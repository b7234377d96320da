import { type FormEvent, useState } from "react";
import { type Outcome, rollBack } from "./rollback";

/** The way back, from here: two steps, so that no stray click takes it. */
export function RollBack({ name }: { name: string }) {
  const [reason, setReason] = useState("");
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const [isAsked, setAsked] = useState(false);

  async function ask(event: FormEvent) {
    event.preventDefault();
    setAsked(true);
    setOutcome(await rollBack(name, reason));
    setAsked(false);
  }

  return (
    <details className="way-back">
      <summary>Roll back</summary>
      <form onSubmit={ask}>
        <label>
          Why <input value={reason} maxLength={500} onChange={(event) => setReason(event.target.value)} />
        </label>
        <button type="submit" disabled={isAsked}>
          {isAsked ? "Rolling back" : `Take ${name} to 0 %`}
        </button>
      </form>
      <p role="status" className={outcome && !outcome.ok ? "warn-text" : undefined}>
        {outcome?.text}
      </p>
    </details>
  );
}
