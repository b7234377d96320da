import { RollBack } from "../migration/RollBack";
import type { SetAside, Unread, UnreadGateway } from "../state/api";
import { type Carried, carriedOf, switchCommand } from "../state/unread";
import { moment, percent } from "../state/words";

/** What gateways say of migrations while control cannot read its log. */
export function UnreadMigrations({ unread }: { unread: Unread }) {
  const carried = carriedOf(unread);
  const elsewhere = unread.set_aside.filter((line) => carried.every((one) => one.name !== line.migration));
  return (
    <section id="migrations" className="card" aria-labelledby="migrations-title">
      <h2 id="migrations-title">Migrations that gateways carry</h2>
      {carried.length === 0 && <p className="quiet">{noneOf(unread)}</p>}
      {carried.map((one) => (
        <article key={one.name} id={`migration-${one.name}`}>
          <CarriedMigration carried={one} now={unread.unix_s} />
        </article>
      ))}
      <Elsewhere lines={elsewhere} now={unread.unix_s} />
    </section>
  );
}

function noneOf({ gateways }: Unread): string {
  const silent = gateways.filter((one) => one.error).map((one) => one.name);
  if (silent.length === gateways.length) return "Not known: no gateway has told yet which migrations it carries.";
  const rest = silent.length > 0 ? ` Of ${silent.join(", ")} it is not known.` : "";
  return `None at the gateways that answered: no candidate answers a caller there, though copies of requests may reach one.${rest}`;
}

function CarriedMigration({ carried, now }: { carried: Carried; now: number }) {
  return (
    <>
      <div className="head">
        <h3>{carried.name}</h3>
        <p>
          <b className="big">{percent(carried.most)}</b> on the candidate now
        </p>
      </div>
      <SetAsideLines lines={carried.setAside} now={now} />
      {carried.mayBeClosed && (
        <p className="warn-text">
          Its candidate was given all requests. If the migration is closed, which no gateway can tell, its incumbent may be gone: a
          rollback then takes callers to it until the switches are released.
        </p>
      )}
      <RollBack name={carried.name} />
      <table className="rows">
        <thead>
          <tr>
            <th>Gateway</th>
            <th>Feature</th>
            <th>Candidate</th>
            <th className="number">Published share</th>
            <th className="number">Share now</th>
            <th>Kill switch</th>
            <th>Turn it by hand</th>
          </tr>
        </thead>
        <tbody>
          {carried.rows.map(({ gateway, admin, split }) => (
            <tr key={`${gateway} ${split.feature}`}>
              <th scope="row">{gateway}</th>
              <td data-label="Feature">{split.feature}</td>
              <td data-label="Candidate">{split.candidate}</td>
              <td data-label="Published share" className="number">
                {percent(split.share)}
              </td>
              <td data-label="Share now" className="number">
                {percent(split.share_now)}
              </td>
              <td data-label="Kill switch">{split.killed ? <span className="chip warn">pulled</span> : <span className="quiet">not pulled</span>}</td>
              <td data-label="By hand">
                {split.killed && carried.setAside.length > 0 ? (
                  <span className="quiet">held by the rollback: control pulls it again</span>
                ) : (
                  <code>{switchCommand(admin, split)}</code>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function SetAsideLines({ lines, now }: { lines: readonly SetAside[]; now: number }) {
  return lines.map((line) => (
    <p key={`${line.unix_s} ${line.reason}`} className="next rolled_back">
      <span>
        <b>Rolled back{line.unix_s !== null && ` at ${moment(line.unix_s, now)}`}</b>, {line.reason}. The log gets it once it can be
        read; until then control pulls the switch again where a gateway forgets it.
      </span>
    </p>
  ));
}

/** Rollbacks of migrations that no gateway which answered carries any more. */
function Elsewhere({ lines, now }: { lines: readonly SetAside[]; now: number }) {
  return [...new Set(lines.map((line) => line.migration))].map((name) => (
    <article key={name}>
      <h3>
        {name} <span className="quiet">carried by no gateway that answered</span>
      </h3>
      <SetAsideLines lines={lines.filter((line) => line.migration === name)} now={now} />
    </article>
  ));
}

/** Gateways of a control that was started without its log. */
export function UnreadGateways({ gateways }: { gateways: readonly UnreadGateway[] }) {
  return (
    <section id="gateways" className="card" aria-labelledby="gateways-title">
      <h2 id="gateways-title">Gateways that have asked this control</h2>
      {gateways.length === 0 && <p className="quiet">None yet.</p>}
      {gateways.length > 0 && (
        <table className="rows">
          <thead>
            <tr>
              <th>Gateway</th>
              <th>Its admin port</th>
              <th>Address</th>
              <th className="number">Snapshot</th>
              <th className="number">Endpoints healthy</th>
            </tr>
          </thead>
          <tbody>
            {gateways.map((one) => (
              <tr key={one.name}>
                <th scope="row">{one.name}</th>
                <td data-label="Its admin port" className={one.error ? "bad-text" : undefined}>
                  {one.error ? "does not tell" : "answers"}
                </td>
                <td data-label="Address">{one.admin ? <code>{one.admin}</code> : "–"}</td>
                <td data-label="Snapshot" className="number">
                  {one.snapshot_version ?? "–"}
                </td>
                <td data-label="Endpoints healthy" className="number">
                  {one.error ? "–" : `${one.endpoints.filter((row) => row.state === "closed").length} of ${one.endpoints.length}`}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

/** `hasCounts`: control has counted requests and errors since before. */
export function Unknown({ hasCounts }: { hasCounts: boolean }) {
  return (
    <section id="unknown" className="card" aria-labelledby="unknown-title">
      <h2 id="unknown-title">Not known until the log can be read</h2>
      <ul className="points">
        <li>Migrations that no gateway carries: those before their first stage.</li>
        <li>Of every migration: its step, its gates and evidence, who signed, and whether it was held or closed.</li>
        {!hasCounts && <li>Requests and errors. Gateways keep their records and hand them in later.</li>}
        {!hasCounts && <li>Gateways that have not asked this control: go to their own admin ports.</li>}
      </ul>
    </section>
  );
}

/** What a person can do without the log. */
export function Possible() {
  return (
    <section id="possible" className="card" aria-labelledby="possible-title">
      <h2 id="possible-title">What you can do</h2>
      <ul className="points">
        <li>
          <b>Take callers off a candidate</b>: roll back above, or <code>crossfade migration rollback NAME --reason "…"</code>. It needs
          no database: control pulls each gateway's kill switch.
        </li>
        <li>
          <b>Reach a gateway that control does not</b>: <code>curl -X PUT http://GATEWAY_ADMIN/admin/kill/FEATURE</code> on its machine.
          The same with <code>DELETE</code> releases the switch.
        </li>
        <li>
          <b>Bring the database back.</b> Control goes on by itself, without a restart. Until then it answers every other command with
          why it waits.
        </li>
      </ul>
    </section>
  );
}
