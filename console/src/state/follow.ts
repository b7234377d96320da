import type { Overview, Unread } from "./api";
import { askVisitor, type Visitor } from "./visitor";

/** How the page stands with control. */
export type Link = "connecting" | "live" | "lost" | "stranger";

const SILENT_MS = 5_000; // control says something every second: five missing are silence
const RETRY_MS = 2_000;

/**
 * `news`: every new overview. `alive`: control spoke, with or without news. `unread`: what one knows that was
 * started without its log. `lost`: it fell silent, or the connection broke. `stranger`: control does not know who sits here.
 */
export interface Listener {
  readonly news: (news: Overview) => void;
  readonly alive: () => void;
  readonly unread: (unread: Unread) => void;
  readonly lost: () => void;
  readonly stranger: (visitor: Visitor) => void;
}

/** Follows for ever, also where the browser gives up or a login ends; gives how to stop. */
export function followOverview(listener: Listener): () => void {
  let source: EventSource | undefined;
  let watch: ReturnType<typeof setTimeout> | undefined;
  let isOver = false;

  const connect = async () => {
    const visitor = await askVisitor(SILENT_MS);
    if (isOver) return;
    if (!visitor) {
      lost();
    } else if (visitor.roles) {
      listen();
    } else {
      listener.stranger(visitor);
      watch = setTimeout(connect, RETRY_MS);
    }
  };
  const listen = () => {
    source = new EventSource("./api/v1/events");
    source.onerror = lost;
    source.addEventListener("alive", heard);
    source.addEventListener("unread", (event) => {
      heard();
      listener.unread(JSON.parse((event as MessageEvent<string>).data) as Unread);
    });
    source.addEventListener("over", () => {
      source?.close(); // control has read its log: from now on another stream tells
      clearTimeout(watch);
      void connect();
    });
    source.addEventListener("overview", (event) => {
      heard();
      listener.news(JSON.parse((event as MessageEvent<string>).data) as Overview);
    });
    clearTimeout(watch);
    watch = setTimeout(lost, SILENT_MS);
  };
  const heard = () => {
    clearTimeout(watch);
    watch = setTimeout(lost, SILENT_MS);
    listener.alive();
  };
  const lost = () => {
    source?.close();
    clearTimeout(watch);
    watch = setTimeout(connect, RETRY_MS);
    listener.lost();
  };

  void connect();
  return () => {
    isOver = true;
    source?.close();
    clearTimeout(watch);
  };
}
