import type { EndpointRow, Overview } from "../state/api";
import { breakerText, poolHealth } from "../state/serving";
import { HealthMark } from "./HealthMark";

export function Endpoints({ news }: { news: Overview }) {
  return (
    <section id="endpoints" className="card" aria-labelledby="endpoints-title">
      <h2 id="endpoints-title">Endpoints</h2>
      {news.endpoints.length === 0 && <p className="quiet">The config has no endpoints.</p>}
      {news.endpoints.length > 0 && (
        <table className="rows plain">
          <thead>
            <tr>
              <th>Endpoint</th>
              <th>Health</th>
              <th>Pools</th>
              <th>Provider</th>
              <th>Region</th>
              <th>Capacity</th>
              <th>Model</th>
            </tr>
          </thead>
          <tbody>
            {news.endpoints.map((endpoint) => (
              <Endpoint key={endpoint.name} endpoint={endpoint} pools={poolsOf(endpoint.name, news)} />
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function poolsOf(endpoint: string, news: Overview): string[] {
  return Object.entries(news.pools)
    .filter(([, members]) => members.includes(endpoint))
    .map(([pool]) => pool);
}

function Endpoint({ endpoint, pools }: { endpoint: EndpointRow; pools: readonly string[] }) {
  return (
    <tr id={`endpoint-${endpoint.name}`}>
      <th scope="row">{endpoint.name}</th>
      <td data-label="Health" className="health">
        <HealthMark health={poolHealth([endpoint])} /> {breakerText(endpoint)}
        {endpoint.state !== "closed" && <span className="quiet reason">{endpoint.reason}</span>}
      </td>
      <td data-label="Pools">{pools.join(", ") || "–"}</td>
      <td data-label="Provider">{endpoint.provider}</td>
      <td data-label="Region">{endpoint.region ?? "–"}</td>
      <td data-label="Capacity">{endpoint.capacity_class}</td>
      <td data-label="Model" className="model">
        {endpoint.model}
      </td>
    </tr>
  );
}
