import { useEffect, useRef, useState } from "react";
import { Migrations } from "../migration/Migrations";
import type { Overview, Unread } from "../state/api";
import { followOverview, type Link } from "../state/follow";
import { titleOf } from "../state/troubles";
import { Endpoints } from "./Endpoints";
import { Features } from "./Features";
import { Gateways } from "./Gateways";
import { Header } from "./Header";
import { Now } from "./Now";
import { Possible, Unknown, UnreadGateways, UnreadMigrations } from "./Unread";

export function App() {
  const [news, setNews] = useState<Overview | null>(null);
  const [early, setEarly] = useState<Unread | null>(null); // of a control that was started without its log
  const [link, setLink] = useState<Link>("connecting");
  const [hasProvider, setHasProvider] = useState(false);
  const unread = early ?? news?.unread ?? null;
  const title = titleOf(news, unread, link);

  useEffect(() => {
    const show = (fresh: Overview | null, started: Unread | null) => {
      setNews(fresh);
      setEarly(started);
    };
    return followOverview({
      news: (fresh) => show(fresh, null),
      alive: () => setLink("live"),
      unread: (started) => show(null, started), // what the control before it said is over
      lost: () => setLink("lost"),
      stranger: (visitor) => {
        setLink("stranger");
        show(null, null); // whose login has ended sees no more of it
        setHasProvider(visitor.oidc);
      },
    });
  }, []);
  useEffect(() => {
    document.title = title;
  }, [title]);
  useAnchor(news !== null || early !== null);

  return (
    <>
      <a className="skip" href="#now">
        Skip to the state
      </a>
      <Header news={news} link={link} isUnread={unread !== null} />
      <main className={link === "lost" ? "stale" : undefined}>
        <Now news={news} unread={unread} link={link} hasProvider={hasProvider} />
        {news && <Features news={news} />}
        {unread ? <UnreadMigrations unread={unread} /> : news && <Migrations news={news} />}
        {news && <Endpoints news={news} />}
        {news ? <Gateways news={news} /> : early && <UnreadGateways gateways={early.gateways} />}
        {unread && <Possible />}
        {unread && <Unknown hasCounts={news !== null} />}
      </main>
    </>
  );
}

/** The browser looks for the anchor before there is anything to find: go there once the page is filled. */
function useAnchor(isFilled: boolean) {
  const isDone = useRef(false);
  useEffect(() => {
    if (!isFilled || isDone.current) return;
    isDone.current = true;
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) target.open = true;
    target?.scrollIntoView();
  }, [isFilled]);
}
