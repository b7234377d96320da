import type { FeatureRow, Overview } from "../state/api";
import { healthOf, partsOf, targetsOf } from "../state/serving";
import { count, percent } from "../state/words";
import { HealthMark } from "./HealthMark";
import { ShareBar } from "./ShareBar";

export function Features({ news }: { news: Overview }) {
  return (
    <section id="features" className="card" aria-labelledby="features-title">
      <h2 id="features-title">Features</h2>
      {news.features.length === 0 && <p className="quiet">The config has no features.</p>}
      {news.features.length > 0 && (
        <table className="rows">
          <thead>
            <tr>
              <th>Feature</th>
              <th>Served by</th>
              <th>Order of preference</th>
              <th className="number">Requests/s</th>
              <th className="number" title="In the last minute: the first attempt failed; a backup may have saved it">
                First try failed<small>last minute</small>
              </th>
              <th className="number">
                Errors to callers<small>last minute</small>
              </th>
              <th className="number">
                Requests<small>since control started</small>
              </th>
            </tr>
          </thead>
          <tbody>
            {news.features.map((feature) => (
              <Feature key={feature.name} feature={feature} news={news} />
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function Feature({ feature, news }: { feature: FeatureRow; news: Overview }) {
  const targets = targetsOf(feature, news);
  const parts = partsOf(feature, targets, news);
  const firstHard = feature.last_minute.reduce((sum, arm) => sum + arm.first_hard, 0);
  const errors = feature.last_minute.reduce((sum, arm) => sum + arm.caller_errors, 0);
  return (
    <tr id={`feature-${feature.name}`}>
      <th scope="row">
        {feature.name} <span className="quiet">{feature.request_class}</span>
        {feature.killed && <> <span className="chip warn">kill switch on</span></>}
        {feature.local_rollback && <> <span className="chip bad">rolled back locally</span></>}
      </th>
      <td data-label="Served by">
        {parts.length > 0 ? <ShareBar parts={parts} /> : <Unserved isUnknown={targets.every((one) => one.health === "unknown")} />}
        {feature.candidate && feature.migration && (
          <a className="small" href={`#migration-${feature.migration}`}>
            {feature.migration}
          </a>
        )}
      </td>
      <td data-label="Preference">
        <ol className="chain">
          {feature.candidate && feature.candidate_share > 0 && (
            <li>
              <HealthMark health={healthOf(feature.candidate, news)} /> {feature.candidate}{" "}
              <span className="quiet">candidate, {percent(feature.candidate_share)}</span>
            </li>
          )}
          {targets.map((target) => (
            <li key={target.pool} className={target.isServing ? "serving" : undefined}>
              <HealthMark health={target.health} /> {target.pool}
            </li>
          ))}
        </ol>
      </td>
      <td data-label="Requests/s" className="number">
        {feature.requests_per_s.toFixed(1)}
      </td>
      <td data-label="First try failed" className={`number ${firstHard ? "warn-text" : ""}`}>
        {count(firstHard)}
      </td>
      <td data-label="Errors to callers" className={`number ${errors ? "bad-text" : ""}`}>
        {count(errors)}
      </td>
      <td data-label="Requests so far" className="number">
        {count(feature.requests)}
        {feature.caller_errors > 0 && <small className="bad-text">{count(feature.caller_errors)} failed</small>}
      </td>
    </tr>
  );
}

function Unserved({ isUnknown }: { isUnknown: boolean }) {
  return isUnknown ? <span className="quiet">unknown: no gateway reports</span> : <b className="bad-text">nothing: every pool is down</b>;
}
