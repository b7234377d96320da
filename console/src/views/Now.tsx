import type { Overview, Unread } from "../state/api";
import type { Link } from "../state/follow";
import { totalsOf } from "../state/serving";
import { troubles } from "../state/troubles";
import { unreadTroubles } from "../state/unread";
import { count, duration, moment, readable } from "../state/words";

interface NowProps {
  readonly news: Overview | null;
  readonly unread: Unread | null;
  readonly link: Link;
  readonly hasProvider: boolean;
}

/** The answer to "is anything wrong now?", with the numbers behind it. */
export function Now({ news, unread, link, hasProvider }: NowProps) {
  const found = news ? troubles(news) : unread ? unreadTroubles(unread) : [];
  const last = news ?? unread;
  const ids = [...(unread ? ["log"] : []), ...found.map((one) => one.id)];
  const said = saidOf(ids, link, last !== null);
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
          {last
            ? `Below is what it last said, at ${moment(last.unix_s, Date.now() / 1000)}. Gateways serve on without it; nothing advances. Reconnecting.`
            : "Nothing is known yet. Gateways serve on without it. Reconnecting."}
        </p>
      )}
      {unread && link !== "lost" && <NoLog unread={unread} />}
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
      {!last && link === "connecting" && <p className="trouble waiting">Asking control for the state.</p>}
      {found.map((one) => (
        <p key={one.id} className={`trouble ${one.severity}`}>
          <span>{one.text}</span> {one.place !== "now" && <a href={`#${one.place}`}>Show</a>}
        </p>
      ))}
      {news && !unread && link === "live" && found.length === 0 && (
        <p className="trouble good">
          <b>All well.</b> No open breaker, no error to a caller in the last minute, nothing held.
        </p>
      )}
      {news && <Numbers news={news} />}
    </section>
  );
}

/** What it means that control cannot read its log: to callers, to migrations, to whoever reads this. */
function NoLog({ unread: { why, since_unix_s, unix_s } }: { unread: Unread }) {
  const guards =
    since_unix_s === null
      ? "Guards go on by what control remembers, and pull the gateways' kill switches."
      : "No guard of control watches a candidate, as it does not know of any; each gateway still takes out one that is dead. Whether callers see errors is not known here.";
  return (
    <p className="trouble warn">
      <b>Control cannot read its event log.</b> {since_unix_s !== null && `It was started at ${moment(since_unix_s, unix_s)}, ${duration(unix_s - since_unix_s)} ago. `}
      Gateways go on serving by their last snapshot. No share is raised and nothing is logged until the log can be read; control then goes on by itself. {guards}
      <span className="reason">{readable(why) || "It has not asked for its log yet."}</span>
    </p>
  );
}

/** What a screen reader hears: a sentence that changes only when the troubles do, not every second. */
function saidOf(ids: readonly string[], link: Link, isFilled: boolean): string {
  if (link === "lost") return "Control does not answer.";
  if (link === "stranger") return "Log in to see it.";
  if (!isFilled) return "Asking control for the state.";
  if (ids.length === 0) return "All well.";
  return `${ids.length} ${ids.length === 1 ? "thing needs" : "things need"} attention.`;
}

function Numbers({ news }: { news: Overview }) {
  const { requestsPerS, errors, inFlight, healthy, ill } = totalsOf(news);
  const open = news.unread ? null : news.migrations.filter((migration) => migration.state !== "closed").length;
  return (
    <dl className="numbers">
      <Number name="requests/s" value={requestsPerS?.toFixed(1)} />
      <Number name="errors to callers, last minute" value={errors === null ? undefined : count(errors)} isBad={(errors ?? 0) > 0} />
      <Number name="endpoints healthy" value={healthy === null ? undefined : `${healthy} of ${news.endpoints.length}`} isBad={ill > 0} />
      <Number name={news.gateways.length === 1 ? "gateway" : "gateways"} value={count(news.gateways.length)} isBad={news.gateways.length === 0} />
      <Number name="requests in flight" value={inFlight === null ? undefined : count(inFlight)} />
      {open !== null && <Number name={open === 1 ? "open migration" : "open migrations"} value={count(open)} />}
    </dl>
  );
}

/** `value`: undefined where nobody knows. */
function Number({ name, value, isBad = false }: { name: string; value: string | undefined; isBad?: boolean }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd className={isBad ? "bad-text" : undefined}>{value ?? <span className="quiet">unknown</span>}</dd>
    </div>
  );
}
