import type { Overview } from "../state/api";
import type { Link } from "../state/follow";

const SAYS: Record<Link, string> = { waiting: "connecting", live: "live", lost: "control lost", stranger: "not logged in" };

export function Header({ news, link }: { news: Overview | null; link: Link }) {
  return (
    <header>
      <h1>
        <img src="./favicon.svg" alt="" width="22" height="22" /> Crossfade
      </h1>
      <nav aria-label="Parts of the page">
        <a href="#features">Features</a>
        <a href="#migrations">Migrations</a>
        <a href="#endpoints">Endpoints</a>
        <a href="#gateways">Gateways</a>
      </nav>
      <p className={`link ${link}`}>
        <i aria-hidden="true" />
        {SAYS[link]}
        {news && <span className="quiet snapshot"> snapshot {news.version}</span>}
      </p>
    </header>
  );
}
