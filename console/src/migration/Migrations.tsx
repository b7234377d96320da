import type { Overview } from "../state/api";
import { Migration } from "./Migration";

/** Open migrations in full, the newest first; closed ones folded. */
export function Migrations({ news }: { news: Overview }) {
  const newest = [...news.migrations].reverse();
  const open = newest.filter((one) => one.state !== "closed");
  const closed = newest.filter((one) => one.state === "closed");
  return (
    <section id="migrations" className="card" aria-labelledby="migrations-title">
      <h2 id="migrations-title">Migrations</h2>
      {newest.length === 0 && (
        <p className="quiet">
          None yet. <code>crossfade migration start FILE</code> starts one; it moves no request before its gates pass.
        </p>
      )}
      {open.map((migration) => (
        <article key={migration.name} id={`migration-${migration.name}`}>
          <Migration migration={migration} now={news.unix_s} />
        </article>
      ))}
      {closed.map((migration) => (
        <details key={migration.name} id={`migration-${migration.name}`}>
          <summary>
            <b>{migration.name}</b> <span className="chip quiet">closed</span>{" "}
            <span className="quiet">
              {migration.incumbent} → {migration.candidate}
            </span>
          </summary>
          <article>
            <Migration migration={migration} now={news.unix_s} />
          </article>
        </details>
      ))}
    </section>
  );
}
