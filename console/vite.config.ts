import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

// The page may fetch from its own origin only. In the built page alone: the dev server injects inline scripts.
const POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'";

const ownOriginOnly: Plugin = {
  name: "own-origin-only",
  apply: "build",
  transformIndexHtml: () => [
    { tag: "meta", attrs: { "http-equiv": "Content-Security-Policy", content: POLICY }, injectTo: "head-prepend" },
  ],
};

// Built into the Python package, so that one wheel holds everything.
export default defineConfig({
  base: "./",
  plugins: [react(), ownOriginOnly],
  build: { outDir: "../src/crossfade/console", emptyOutDir: true },
});
