import { useEffect, useState } from "react";
import { fetchOverview, followOverview, type Overview } from "./api";
import { Endpoints } from "./Endpoints";
import { Features } from "./Features";
import { Migration } from "./Migration";
import { troubles } from "./summary";

export function App() {
  const [news, setNews] = useState<Overview | null>(null);
  const [lost, setLost] = useState(false);

  useEffect(() => {
    const heard = (overview: Overview) => {
      setNews(overview);
      setLost(false);
    };
    fetchOverview().then(heard, () => setLost(true));
    return followOverview(heard, () => setLost(true));
  }, []);

  if (!news) return <main>{lost ? <p className="banner bad">Control does not answer.</p> : <p>Loading…</p>}</main>;
  return (
    <>
      <header>
        <h1>
          <img src="./favicon.svg" alt="" width="24" height="24" /> Crossfade
        </h1>
        <p className="quiet">
          snapshot {news.version} · {news.gateways.length} {news.gateways.length === 1 ? "gateway" : "gateways"}
        </p>
      </header>
      <main>
        <Now news={news} lost={lost} />
        {[...news.migrations].reverse().map((migration) => (
          <Migration key={migration.name} migration={migration} />
        ))}
        <Features features={news.features} />
        <Endpoints endpoints={news.endpoints} />
      </main>
    </>
  );
}

function Now({ news, lost }: { news: Overview; lost: boolean }) {
  const found = troubles(news);
  return (
    <section aria-label="Is anything wrong now?" aria-live="polite">
      {lost && <p className="banner bad">Control does not answer; this is what it last said. Gateways serve on without it.</p>}
      {found.length === 0 && !lost && <p className="banner good">Nothing is wrong now.</p>}
      {found.map((trouble) => (
        <p key={trouble.text} className={`banner ${trouble.severity}`}>
          {trouble.text}
        </p>
      ))}
    </section>
  );
}
