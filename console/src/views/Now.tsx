import type { Overview } from "../state/api";
import { troubles } from "../state/troubles";
import { count, moment } from "../state/words";
import type { Link } from "../state/follow";

/** The answer to "is anything wrong now?", with the numbers behind it. */
export function Now({ news, link, hasProvider }: { news: Overview | null; link: Link; hasProvider: boolean }) {
  const found = news ? troubles(news) : [];
  const said = useSaid(found.map((one) => one.id).join(), link, found.length, news !== null);
  return (
    <section id="now" className="now" aria-labelledby="now-title" tabIndex={-1}>
      <h2 id="now-title" className="visually-hidden">
        Is anything wrong now?
      </h2>
      <p className="visually-hidden" role="status">
        {said}
      </p>
      {link === "lost" && (
        <p className="trouble bad">
          <b>Control does not answer.</b>{" "}
          {news
            ? `Below is what it last said, at ${moment(news.unix_s, Date.now() / 1000)}. Gateways serve on without it; nothing advances. Reconnecting.`
            : "Nothing is known yet. Gateways serve on without it. Reconnecting."}
        </p>
      )}
      {link === "stranger" && (
        <p className="trouble waiting">
          <b>Log in to see it.</b> Open the link that <code>crossfade login</code> prints on control's machine
          {hasProvider && (
            <>
              , or <a href="./login/oidc">log in at your identity provider</a>
            </>
          )}
          .
        </p>
      )}
      {!news && link === "waiting" && <p className="trouble waiting">Asking control for the state.</p>}
      {found.map((one) => (
        <p key={one.id} className={`trouble ${one.severity}`}>
          <span>{one.text}</span> {one.place !== "now" && <a href={`#${one.place}`}>Show</a>}
        </p>
      ))}
      {news && link === "live" && found.length === 0 && (
        <p className="trouble good">
          <b>All well.</b> No open breaker, no error to a caller in the last minute, nothing held.
        </p>
      )}
      {news && <Numbers news={news} />}
    </section>
  );
}

/** What a screen reader hears: a sentence that changes only when the troubles do, not every second. */
function useSaid(ids: string, link: Link, number: number, isFilled: boolean): string {
  if (link === "lost") return "Control does not answer.";
  if (link === "stranger") return "Log in to see it.";
  if (!isFilled) return "Asking control for the state.";
  if (!ids) return "All well.";
  return `${number} ${number === 1 ? "thing needs" : "things need"} attention.`;
}

function Numbers({ news }: { news: Overview }) {
  const minute = news.features.flatMap((feature) => feature.last_minute);
  const errors = minute.reduce((sum, arm) => sum + arm.caller_errors, 0);
  const rate = news.features.reduce((sum, feature) => sum + feature.requests_per_s, 0);
  const healthy = news.endpoints.filter((endpoint) => endpoint.state === "closed").length;
  const open = news.migrations.filter((migration) => migration.state !== "closed").length;
  return (
    <dl className="numbers">
      <Number name="requests/s" value={rate.toFixed(1)} />
      <Number name="errors to callers, last minute" value={count(errors)} isBad={errors > 0} />
      <Number
        name="endpoints healthy"
        value={`${healthy} of ${news.endpoints.length}`}
        isBad={healthy < news.endpoints.length}
      />
      <Number name={news.gateways.length === 1 ? "gateway" : "gateways"} value={count(news.gateways.length)} isBad={news.gateways.length === 0} />
      <Number name="requests in flight" value={count(news.gateways.reduce((sum, one) => sum + one.in_flight, 0))} />
      <Number name={open === 1 ? "open migration" : "open migrations"} value={count(open)} />
    </dl>
  );
}

function Number({ name, value, isBad = false }: { name: string; value: string; isBad?: boolean }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd className={isBad ? "bad-text" : undefined}>{value}</dd>
    </div>
  );
}
