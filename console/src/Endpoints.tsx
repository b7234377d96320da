import type { EndpointRow } from "./api";
import { percent } from "./summary";

export function Endpoints({ endpoints }: { endpoints: EndpointRow[] }) {
  return (
    <section>
      <h2>Endpoints</h2>
      <div className="scroll">
        <table>
          <thead>
            <tr>
              <th>Endpoint</th>
              <th>Breaker</th>
              <th>Provider</th>
              <th>Region</th>
              <th>Capacity</th>
              <th>Model</th>
            </tr>
          </thead>
          <tbody>
            {endpoints.map((endpoint) => (
              <tr key={endpoint.name}>
                <th scope="row">{endpoint.name}</th>
                <td>
                  <span className={`chip ${endpoint.state === "closed" ? "good" : "bad"}`} title={endpoint.reason}>
                    {endpoint.state.replace("_", "-")}
                    {endpoint.state === "half_open" && ` ${percent(endpoint.share)}`}
                  </span>
                </td>
                <td>{endpoint.provider}</td>
                <td>{endpoint.region ?? "–"}</td>
                <td>{endpoint.capacity_class}</td>
                <td className="model">{endpoint.model}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
