import { useEffect, useRef, useState } from "react";
import { Migrations } from "../migration/Migrations";
import type { Overview } from "../state/api";
import { followOverview, type Link } from "../state/follow";
import { titleOf } from "../state/troubles";
import { Endpoints } from "./Endpoints";
import { Features } from "./Features";
import { Gateways } from "./Gateways";
import { Header } from "./Header";
import { Now } from "./Now";

export function App() {
  const [news, setNews] = useState<Overview | null>(null);
  const [link, setLink] = useState<Link>("waiting");
  const [hasProvider, setHasProvider] = useState(false);
  const title = titleOf(news, link);

  useEffect(
    () =>
      followOverview({
        news: setNews,
        alive: () => setLink("live"),
        lost: () => setLink("lost"),
        stranger: (visitor) => {
          setLink("stranger");
          setNews(null); // whose login has ended sees no more of it
          setHasProvider(visitor.oidc);
        },
      }),
    [],
  );
  useEffect(() => {
    document.title = title;
  }, [title]);
  useAnchor(news !== null);

  return (
    <>
      <a className="skip" href="#now">
        Skip to the state
      </a>
      <Header news={news} link={link} />
      <main className={link === "lost" ? "stale" : undefined}>
        <Now news={news} link={link} hasProvider={hasProvider} />
        {news && (
          <>
            <Features news={news} />
            <Migrations news={news} />
            <Endpoints news={news} />
            <Gateways news={news} />
          </>
        )}
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
