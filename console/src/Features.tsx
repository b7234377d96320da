import type { FeatureRow } from "./api";
import { percent } from "./summary";

export function Features({ features }: { features: FeatureRow[] }) {
  return (
    <section>
      <h2>Features</h2>
      <div className="scroll">
        <table>
          <thead>
            <tr>
              <th>Feature</th>
              <th>Served by</th>
              <th>Candidate's share</th>
              <th className="number">Requests/s</th>
              <th className="number">Requests</th>
              <th className="number">Caller-visible errors</th>
            </tr>
          </thead>
          <tbody>
            {features.map((feature) => (
              <tr key={feature.name}>
                <th scope="row">
                  {feature.name} <span className="quiet">{feature.request_class}</span>
                </th>
                <td>{feature.hierarchy.join(" → ")}</td>
                <td>{feature.candidate ? <Share feature={feature} /> : <span className="quiet">none</span>}</td>
                <td className="number">{feature.requests_per_s.toFixed(1)}</td>
                <td className="number">{feature.requests}</td>
                <td className={`number ${feature.caller_errors > 0 ? "bad-text" : ""}`}>{feature.caller_errors}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Share({ feature }: { feature: FeatureRow }) {
  return (
    <span className="share">
      <meter min={0} max={1} value={feature.candidate_share} aria-label={`share of ${feature.candidate ?? ""}`} />
      {percent(feature.candidate_share)} {feature.candidate}
    </span>
  );
}
