import type { Overview } from "./api";

const SILENT_MS = 5_000; // control says something every second: five missing are silence
const RETRY_MS = 2_000;

/**
 * Calls back with every new overview; `onLost` once when control falls silent or the connection breaks.
 * Reconnects for ever, also where the browser gives up. `onAlive`: control spoke, with or without news.
 */
export function followOverview(onNews: (news: Overview) => void, onAlive: () => void, onLost: () => void): () => void {
  let source: EventSource | undefined;
  let watch: ReturnType<typeof setTimeout> | undefined;

  const connect = () => {
    source = new EventSource("./api/v1/events");
    source.onerror = lost;
    source.addEventListener("alive", heard);
    source.addEventListener("overview", (event) => {
      heard();
      onNews(JSON.parse((event as MessageEvent<string>).data) as Overview);
    });
    clearTimeout(watch);
    watch = setTimeout(lost, SILENT_MS);
  };
  const heard = () => {
    clearTimeout(watch);
    watch = setTimeout(lost, SILENT_MS);
    onAlive();
  };
  const lost = () => {
    source?.close();
    clearTimeout(watch);
    watch = setTimeout(connect, RETRY_MS);
    onLost();
  };

  connect();
  return () => {
    source?.close();
    clearTimeout(watch);
  };
}
