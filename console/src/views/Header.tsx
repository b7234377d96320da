import type { Overview } from "../state/api";
import type { Link } from "../state/follow";

const SAYS: Record<Link, string> = { connecting: "connecting", live: "live", lost: "control lost", stranger: "not logged in" };
const PARTS = { features: "Features", migrations: "Migrations", endpoints: "Endpoints", gateways: "Gateways" };
const UNREAD_PARTS = { migrations: "Migrations", gateways: "Gateways", possible: "What to do", unknown: "Not known" };

export function Header({ news, link, isUnread }: { news: Overview | null; link: Link; isUnread: boolean }) {
  return (
    <header>
      <h1>
        <img src="./favicon.svg" alt="" width="22" height="22" /> Crossfade
      </h1>
      <nav aria-label="Parts of the page">
        {Object.entries(isUnread && !news ? UNREAD_PARTS : PARTS).map(([place, name]) => (
          <a key={place} href={`#${place}`}>
            {name}
          </a>
        ))}
      </nav>
      <p className={`link ${link === "live" && isUnread ? "unread" : link}`}>
        <i aria-hidden="true" />
        {link === "live" && isUnread ? "log not read" : SAYS[link]}
        {news && <span className="quiet snapshot"> snapshot {news.version}</span>}
      </p>
    </header>
  );
}
