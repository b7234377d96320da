import type { Overview } from "../state/api";
import { isStale } from "../state/serving";
import { count } from "../state/words";

export function Gateways({ news }: { news: Overview }) {
  return (
    <section id="gateways" className="card" aria-labelledby="gateways-title">
      <h2 id="gateways-title">Gateways</h2>
      {news.gateways.length === 0 && <p className="quiet">None has reported since control started.</p>}
      {news.gateways.length > 0 && (
        <table className="rows">
          <thead>
            <tr>
              <th>Gateway</th>
              <th>Last heard</th>
              <th className="number">Snapshot</th>
              <th className="number">In flight</th>
              <th className="number">Records dropped</th>
            </tr>
          </thead>
          <tbody>
            {news.gateways.map((gateway) => (
              <tr key={gateway.name}>
                <th scope="row">{gateway.name}</th>
                <td data-label="Last heard" className={isStale(gateway) ? "bad-text" : undefined}>
                  {isStale(gateway) ? `${Math.round(gateway.age_s)} s ago` : "now"}
                </td>
                <td data-label="Snapshot" className={`number ${gateway.snapshot_version < news.version ? "warn-text" : ""}`}>
                  {gateway.snapshot_version}
                  {gateway.snapshot_version < news.version && ` of ${news.version}`}
                </td>
                <td data-label="In flight" className="number">
                  {count(gateway.in_flight)}
                </td>
                <td data-label="Records dropped" className={`number ${gateway.records_dropped ? "warn-text" : ""}`}>
                  {count(gateway.records_dropped)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
